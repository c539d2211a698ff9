"""SQL from people, checked before it runs: one SELECT over our views, calling functions of values only.

One check for `headwater sql` and for whatever else takes SQL from outside. It is the first of three walls: under it the
connection is locked down (pipeline/ask/reader.py), and the S3 key that the connection holds can only read.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import duckdb

from pipeline.ask.nearest import hint
from pipeline.ask.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from pipeline.ask.sql_tree import RefusedError, Relation, Survey, survey_select

NOTHING: frozenset[str] = frozenset()
NO_REASONS: Mapping[str, str] = MappingProxyType({})


def check_sql(
    con: duckdb.DuckDBPyConnection,
    sql: str,
    relations: Collection[str],
    value_macros: frozenset[str] = NOTHING,
    table_macros: frozenset[str] = NOTHING,
    left_out: Mapping[str, str] = NO_REASONS,
) -> Survey:
    """Check one statement; `con` only parses it, nothing is bound or run.

    `relations` are the names that may be read, as they are written: core.events, settings. The macros may be called beside
    DuckDB's own functions: those of values anywhere, those of tables in `from`. What is `left_out` is refused with its reason.

    Returns what the statement names. Raises RefusedError, which names what was refused and the way out, and
    duckdb.ParserException for what is not SQL.
    """
    survey = survey_select(con, sql)
    for relation in sorted(survey.relations):
        if not _is_allowed(relation, relations):
            raise RefusedError(_left_out(str(relation), left_out) or _refused_relation(relation, relations, table_macros))
    for name in sorted(survey.table_functions - TABLE_FUNCTIONS - table_macros):
        raise RefusedError(_left_out(name, left_out) or _refused_table_function(name, value_macros, table_macros))
    for name in sorted(survey.functions - FUNCTIONS - value_macros):
        raise RefusedError(_left_out(name, left_out) or _refused_function(name, value_macros, table_macros))
    return survey


def _left_out(name: str, left_out: Mapping[str, str]) -> str:
    return f"'{name}' is left out: {left_out[name]}" if name in left_out else ""


def _is_allowed(relation: Relation, relations: Collection[str]) -> bool:
    schema = "" if relation.schema == "main" else relation.schema
    return relation.catalog in {"", "memory"} and ".".join(part for part in (schema, relation.name) if part) in relations


def _refused_relation(relation: Relation, relations: Collection[str], table_macros: frozenset[str]) -> str:
    if str(relation) in table_macros:
        return f"Macro '{relation}' takes arguments: select * from {relation}(...). 'headwater views show {relation}' tells which."
    by_last_name = [name for name in sorted(relations) if name.split(".")[-1] == relation.name]
    near = hint(by_last_name[0] if by_last_name else str(relation), relations, quote='"')
    return f"Relation '{relation}' is not a view of Headwater.{near} 'headwater views' lists what can be asked."


def _refused_table_function(name: str, value_macros: frozenset[str], table_macros: frozenset[str]) -> str:
    if name in value_macros:
        return f"Macro '{name}' gives a value and stands in no from; write it where a value stands: select {name}(...)."
    allowed = sorted(TABLE_FUNCTIONS | table_macros)
    return (
        f"Table function '{name}' is not allowed in SQL from people; read the views instead ('headwater views' lists them)."
        f"{_hint(name, allowed)} Allowed are {', '.join(allowed)}."
    )


def _refused_function(name: str, value_macros: frozenset[str], table_macros: frozenset[str]) -> str:
    if name in table_macros:
        return f"Macro '{name}' gives a table; write it in from: select * from {name}(...)."
    return f"Function '{name}' is not allowed in SQL from people.{_hint(name, FUNCTIONS | value_macros)} Functions of values are; pipeline/ask/sql_functions.py lists them."


def _hint(name: str, known: Collection[str]) -> str:
    """Functions are short and many: only what is very near."""
    return hint(name, known, cutoff=0.7, quote='"')
