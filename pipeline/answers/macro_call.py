"""Asking a macro of queries/macros/: what it refuses is wrong use of the command, said in the macro's own words."""

from collections.abc import Mapping
from typing import Any

from pipeline.ask.reader import QueryError, Reader
from schemas.errors import UsageError

# How DuckDB begins what error('...') says.
_RAISED = "Invalid Input Error: "


def call_macro(reader: Reader, sql: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a SELECT over macros. Raises UsageError with what a macro says of an argument."""
    try:
        return reader.rows(sql, given)
    except QueryError as error:
        if str(error).startswith(_RAISED):
            raise UsageError(str(error).removeprefix(_RAISED).strip()) from None
        raise
