"""Asking a macro of queries/macros/: what it refuses is wrong use of the command, said of the option that was given."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.ask.reader import QueryError, Reader
from schemas.errors import UsageError

# How DuckDB begins what error('...') says.
_RAISED = "Invalid Input Error: "
# Macros name their argument first; people gave it by an option of the command, or as its argument.
_GIVEN_AS = {
    "steps": "Argument 'STEP'",
    "within": "Option '--within'",
    "by": "Option '--by'",
    "order_by": "Option '--order'",
    "subject": "Option '--subject'",
    "period": "Option '--period'",
    "start_event": "Option '--start'",
    "return_event": "Option '--return'",
    "kind": "Option '--kind'",
}
_NAMED = re.compile(r"(\w+)(?= is )")
# As SQL writes a length of time, and as the option takes it.
_SQL_LENGTH, _OPTION_LENGTH = "for example interval '1 day'", "for example 30m, 2h or 7d"


def call_macro(reader: Reader, sql: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a SELECT over macros. Raises UsageError with what a macro says of an argument, which is named as the command does."""
    try:
        return reader.rows(sql, given)
    except QueryError as error:
        if str(error).startswith(_RAISED):
            raise UsageError(_as_command(str(error).removeprefix(_RAISED).strip())) from None
        raise


def _as_command(said: str) -> str:
    """What a macro says, with the option in the place of the argument that it names."""
    named = _NAMED.match(said)
    if named is None or named[1] not in _GIVEN_AS:
        return said
    text = _GIVEN_AS[named[1]] + said[named.end() :]
    return text.replace(_SQL_LENGTH, _OPTION_LENGTH) if named[1] == "within" else text
