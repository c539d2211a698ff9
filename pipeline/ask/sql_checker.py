"""SQL from people, checked before it runs: one SELECT over our views, calling functions of values only.

One check for `headwater sql` and for whatever else takes SQL from outside. It is the first of three walls: under it the
connection is locked down (pipeline/ask/reader.py), and the S3 key that the connection holds can only read.
"""

import difflib
from collections.abc import Collection

import duckdb

from pipeline.ask.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from pipeline.ask.sql_tree import RefusedError, Relation, Survey, survey_select


def check_sql(con: duckdb.DuckDBPyConnection, sql: str, relations: Collection[str]) -> Survey:
    """Check one statement; `con` only parses it, nothing is bound or run.

    `relations` are the names that may be read, as they are written: core.events, settings.

    Returns what the statement names. Raises RefusedError, which names what was refused and the way out, and
    duckdb.ParserException for what is not SQL.
    """
    survey = survey_select(con, sql)
    for relation in sorted(survey.relations):
        if not _is_allowed(relation, relations):
            raise RefusedError(_refused_relation(relation, relations))
    for name in sorted(survey.table_functions - TABLE_FUNCTIONS):
        raise RefusedError(
            f"Table function '{name}' is not allowed in SQL from people; read the views instead ('headwater views' lists them)."
            f" Allowed are {', '.join(sorted(TABLE_FUNCTIONS))}."
        )
    for name in sorted(survey.functions - FUNCTIONS):
        raise RefusedError(_refused_function(name))
    return survey


def _is_allowed(relation: Relation, relations: Collection[str]) -> bool:
    schema = "" if relation.schema == "main" else relation.schema
    return relation.catalog in {"", "memory"} and ".".join(part for part in (schema, relation.name) if part) in relations


def _refused_relation(relation: Relation, relations: Collection[str]) -> str:
    by_last_name = [name for name in sorted(relations) if name.split(".")[-1] == relation.name]
    close = (by_last_name + difflib.get_close_matches(str(relation), sorted(relations), n=3, cutoff=0.5))[:3]
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f"Relation '{relation}' is not a view of Headwater.{hint} 'headwater views' lists what can be asked."


def _refused_function(name: str) -> str:
    close = difflib.get_close_matches(name, sorted(FUNCTIONS), n=1, cutoff=0.7)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return f"Function '{name}' is not allowed in SQL from people.{hint} Functions of values are; pipeline/ask/sql_functions.py lists them."
