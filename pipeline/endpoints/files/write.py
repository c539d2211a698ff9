"""Endpoints as text: NDJSON as Pinpoint's exports are, or CSV as its imports take it, with cells that no spreadsheet runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from pipeline.ask.reader import Reader
from pipeline.endpoints.files.cells import cover
from pipeline.endpoints.files.columns import COLUMNS_MAX, FIXED, LISTS, METRICS, NUMBERS, USER_LISTS
from schemas.errors import UsageError

_encode = msgspec.json.Encoder().encode
Json = Mapping[str, Any]

# Name, and the most values that one endpoint has of it.
_NAMES = """
select '{prefix}' || entry.key, max({count})
from (select unnest(map_entries({column})) as entry from core.endpoints where app_id = $app_id)
where entry.key <> ''
group by all order by all
"""


class Writer(Protocol):
    """One form of the text. `reduced` counts endpoints of which the form could not hold all."""

    suffix: str
    reduced: int

    def begin(self) -> bytes:
        """What each file begins with."""

    def write(self, endpoint: Json) -> bytes:
        """One endpoint."""


class NdjsonWriter:
    """Pinpoint's own form: nothing is lost in it."""

    suffix = ".json"
    reduced = 0

    def begin(self) -> bytes:
        return b""

    def write(self, endpoint: Json) -> bytes:
        return _encode(endpoint) + b"\n"


class CsvWriter:
    """Dot paths as columns, the name of a list as often as any endpoint has values of it. It holds neither empty texts nor unknown members."""

    suffix = ".csv"

    def __init__(self, columns: Sequence[str]) -> None:
        self.reduced, self._columns = 0, columns
        # Path of a cell's value in the endpoint, and which value of the list it is.
        self._cells = [_cell_path(name, columns[:place].count(name)) for place, name in enumerate(columns)]

    def begin(self) -> bytes:
        return _line(self._columns)

    def write(self, endpoint: Json) -> bytes:
        cells = [_read_cell(endpoint, path, number) for path, number in self._cells]
        held = sum(1 for cell in cells if cell != "")
        self.reduced += held < _count_values(endpoint)
        return _line(
            [
                cover(cell) if name not in NUMBERS and not name.startswith(METRICS) else cell
                for name, cell in zip(self._columns, cells, strict=True)
            ]
        )


def find_columns(reader: Reader, app_id: str) -> list[str]:
    """The columns that hold every endpoint of the app. Raises UsageError when they are more than a CSV may have."""
    columns = list(FIXED)
    for prefix, column, count in (
        (LISTS, "attributes", "len(entry.value)"),
        (METRICS, "metrics", "1"),
        (USER_LISTS, "user_attributes", "len(entry.value)"),
    ):
        sql = _NAMES.format(prefix=prefix, column=column, count=count)
        for name, most in reader.execute(sql, {"app_id": app_id}).fetchall():
            columns += [name] * int(most)
    if len(columns) > COLUMNS_MAX:
        raise UsageError(
            f"The endpoints of app '{app_id}' need {len(columns):,} columns; a CSV may have {COLUMNS_MAX:,}: export them as NDJSON, without --csv."
        )
    return columns


def _cell_path(name: str, number: int) -> tuple[tuple[str, ...], int | None]:
    if name.startswith(LISTS):
        return ("Attributes", name.removeprefix(LISTS)), number
    if name.startswith(USER_LISTS):
        return ("User", "UserAttributes", name.removeprefix(USER_LISTS)), number
    if name.startswith(METRICS):
        return ("Metrics", name.removeprefix(METRICS)), None
    return tuple(name.split(".")), None


def _read_cell(endpoint: Json, path: tuple[str, ...], number: int | None) -> str:
    value: Any = endpoint
    for name in path:
        if not isinstance(value, Mapping) or (value := value.get(name)) is None:
            return ""
    if number is not None:
        return value[number] if number < len(value) else ""
    return value if isinstance(value, str) else repr(value)


def _count_values(value: Any) -> int:
    """Values that there are in an endpoint, ApplicationId aside, which a file does not need."""
    if isinstance(value, Mapping):
        return sum(_count_values(inner) for name, inner in value.items() if name != "ApplicationId")
    return sum(map(_count_values, value)) if isinstance(value, list) else 1


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
