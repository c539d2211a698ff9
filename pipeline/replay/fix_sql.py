"""A fix by a DuckDB expression over one dead letter: checked like all SQL from people, run in a DuckDB that can reach nothing."""

import threading
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.ask.sql_checker import check_sql
from pipeline.bare_duckdb import open_duckdb
from pipeline.replay.fix import hash_fix
from schemas.errors import UsageError

# Columns that an expression may use, beside value (the text; null when it is not UTF-8), bytes and key (text).
COLUMNS = ("reason", "error", "value_bytes", "event_id", "event_type", "app_id", "endpoint_id", "event_timestamp", "topic", "origin")
POSITION = ("_topic_id", "_partition", "_offset", "_appended_at")


class SqlFix:
    """Evaluates `expression` for each dead letter: text or bytes are its new value, null leaves it out.

    An error in one row (JSON that is none, say) makes that row null; `first_error` keeps what DuckDB said.
    """

    def __init__(self, expression: str, secs_max: float, memory_bytes_max: int) -> None:
        """Raises UsageError for what is no single expression or names what is not allowed."""
        self.fix_hash = hash_fix("sql", expression)
        self.first_error = ""
        self._secs_max = secs_max
        # What does not fit in memory is not written to disk: a fix sees a chunk of dead letters, and needs little.
        self._con = open_duckdb(python_enable_replacements=False, memory_limit=f"{memory_bytes_max}B", temp_directory="")
        self._con.execute("set TimeZone = 'UTC'")
        self._con.execute("set enable_external_access = false")
        self._con.execute("set lock_configuration = true")
        try:
            # One expression and nothing beside it: a second one, a from or an order by does not get past this.
            duckdb.SQLExpression(expression)
            check_sql(self._con, f"select (\n{expression}\n)", ())
        except duckdb.Error as error:
            raise _explain(expression, error) from None
        self._expression = f"(\n{expression}\n)"

    def apply(self, letters: pa.Table) -> list[bytes | None]:
        self._con.register("dead_letter", _as_columns(letters))
        try:
            found = self._run(self._expression, letters.num_rows)
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException) as error:
            self.first_error = self.first_error or str(error).splitlines()[0]
            found = self._run(f"try({self._expression})", letters.num_rows)
        except duckdb.Error as error:
            raise _explain(self._expression, error) from None
        finally:
            self._con.unregister("dead_letter")
        by_row = dict(found)
        if len(found) != letters.num_rows or len(by_row) != letters.num_rows:
            raise UsageError(
                f"Option '--fix-sql' gives {len(found)} values for {letters.num_rows} dead letters; expected one for each: leave out "
                "aggregates and unnest."
            )
        return [value.encode() if isinstance(value, str) else value for value in (by_row[row] for row in range(letters.num_rows))]

    def close(self) -> None:
        self._con.close()

    def _run(self, expression: str, count: int) -> list[tuple[int, Any]]:
        timer = threading.Timer(self._secs_max, self._con.interrupt)
        timer.daemon = True
        timer.start()
        try:
            answer = self._con.execute(f"select _row, {expression} as fixed from dead_letter")
            rows, kind = answer.fetchall(), answer.description[1][1]
            if any(not isinstance(value, (str, bytes)) for _, value in rows if value is not None):
                raise UsageError(
                    f"Option '--fix-sql' yields {kind}; expected the new value as text (or as a blob): cast it, or use to_json()."
                )
            return rows
        except duckdb.InterruptException:
            raise UsageError(
                f"Option '--fix-sql' took longer than {self._secs_max:g} s for a chunk of {count} dead letters (HEADWATER_QUERY_SECS_MAX); "
                "expected less: make it simpler, or raise the limit."
            ) from None
        except duckdb.OutOfMemoryException:
            raise UsageError(
                f"Option '--fix-sql' needed more memory than HEADWATER_QUERY_MEMORY_BYTES_MAX for a chunk of {count} dead letters; "
                "expected less: make it simpler, or raise the limit."
            ) from None
        finally:
            timer.cancel()


def _as_columns(letters: pa.Table) -> pa.Table:
    values = letters["value"].to_pylist()
    columns: dict[str, Any] = {
        "_row": pa.array(range(letters.num_rows), pa.int64()),
        "value": pa.array([_as_text(value or b"") for value in values], pa.string()),
        "bytes": letters["value"],
        "key": pa.array([_as_text(key) for key in letters["key"].to_pylist()], pa.string()),
    }
    return pa.table(columns | {name: letters[name] for name in (*COLUMNS, *POSITION)})


def _as_text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _explain(expression: str, error: Exception) -> UsageError:
    names = ", ".join(("value", "bytes", "key", *COLUMNS, *POSITION))
    return UsageError(
        f"Option '--fix-sql' is '{expression.strip()}'; expected one expression over {names}, for example replace(value, '\"evnt\"', '\"event\"'). "
        f"DuckDB says: {str(error).splitlines()[0]}"
    )
