"""The columns of a CSV of endpoints, by Pinpoint's dot paths: what a header may say, and a row's cells as the endpoint's JSON."""

import math
from collections.abc import Sequence
from typing import Any

from pipeline.endpoints.files.cells import uncover
from pipeline.imports.rows import FileError, RowError, nearest

# As many as a spreadsheet holds.
COLUMNS_MAX = 16_384

TOP_LEVEL = ("Id", "Address", "ChannelType", "OptOut", "RequestId", "EffectiveDate", "EndpointStatus", "CreationDate", "CohortId")
DEMOGRAPHIC = ("AppVersion", "Locale", "Make", "Model", "ModelVersion", "Platform", "PlatformVersion", "Timezone")
LOCATION = ("City", "Country", "Latitude", "Longitude", "PostalCode", "Region")
NUMBERS = frozenset({"Location.Latitude", "Location.Longitude"})
FIXED = (
    *TOP_LEVEL,
    *(f"Demographic.{name}" for name in DEMOGRAPHIC),
    *(f"Location.{name}" for name in LOCATION),
    "User.UserId",
)
LISTS, METRICS, USER_LISTS = "Attributes.", "Metrics.", "User.UserAttributes."
PREFIXES = (LISTS, METRICS, USER_LISTS)
# Pinpoint's endpoint says which app it is of; so do our exports. The import says it instead.
_PASSED_OVER = "ApplicationId"
_KNOWN = frozenset({*FIXED, _PASSED_OVER})

Json = dict[str, Any]


class Columns:
    """The columns of one file. A column that stands several times gives its list several values; an empty cell says nothing."""

    def __init__(self, address: str, names: Sequence[str]) -> None:
        """Raises FileError for a column that no endpoint has, and for more than there can be."""
        if len(names) > COLUMNS_MAX:
            raise FileError(
                f"File '{address}' has {len(names):,} columns; expected at most {COLUMNS_MAX:,}: write attributes of many names as NDJSON."
            )
        self.count = len(names)
        _require_known(address, names)
        _require_once(address, names)
        # (place of the column, name) by where its cells go.
        self._texts: list[tuple[int, str]] = []
        self._nested: dict[str, list[tuple[int, str]]] = {}
        self._numbers: list[tuple[int, str, str, str]] = []
        self._lists: list[tuple[int, str]] = []
        self._user_lists: list[tuple[int, str]] = []
        for place, name in enumerate(names):
            self._take(place, name)

    def _take(self, place: int, name: str) -> None:
        group, _, member = name.rpartition(".")
        if name == _PASSED_OVER:
            return
        if name.startswith(LISTS):
            self._lists.append((place, name.removeprefix(LISTS)))
        elif name.startswith(USER_LISTS):
            self._user_lists.append((place, name.removeprefix(USER_LISTS)))
        elif name.startswith(METRICS):
            self._numbers.append((place, name, "Metrics", name.removeprefix(METRICS)))
        elif name in NUMBERS:
            self._numbers.append((place, name, group, member))
        elif group:
            self._nested.setdefault(group, []).append((place, member))
        else:
            self._texts.append((place, name))

    def build(self, cells: Sequence[str]) -> Json:
        """The endpoint that a row's cells say. Raises RowError for another number of cells than columns, and for what is no number."""
        if len(cells) != self.count:
            raise RowError(
                None,
                ",".join(cells[:20]),
                f"expected {self.count} cells, as the header has, found {len(cells)}",
                kind=f"expected {self.count} cells, as the header has",
            )
        document: Json = _members(self._texts, cells)
        for group, members in self._nested.items():
            if found := _members(members, cells):
                document[group] = found
        for place, name, group, member in self._numbers:
            if cell := cells[place]:
                document.setdefault(group, {})[member] = _number(name, uncover(cell))
        if found := _values(self._lists, cells):
            document["Attributes"] = found
        if found := _values(self._user_lists, cells):
            document.setdefault("User", {})["UserAttributes"] = found
        return document


def _members(members: Sequence[tuple[int, str]], cells: Sequence[str]) -> Json:
    return {name: cell if cell[0] != "'" else uncover(cell) for place, name in members if (cell := cells[place])}


def _values(members: Sequence[tuple[int, str]], cells: Sequence[str]) -> Json:
    """By name the values of its columns, those that hold something."""
    found: dict[str, list[str]] = {}
    for place, name in members:
        if cell := cells[place]:
            value = cell if cell[0] != "'" else uncover(cell)
            if name in found:
                found[name].append(value)
            else:
                found[name] = [value]
    return found


def is_known_column(name: str) -> bool:
    """Whether an endpoint has such a column."""
    return name in _KNOWN or any(name.startswith(prefix) and len(name) > len(prefix) for prefix in PREFIXES)


def _require_known(address: str, names: Sequence[str]) -> None:
    for number, name in enumerate(names, start=1):
        if not is_known_column(name):
            expected = [*FIXED, *(f"{prefix}<name>" for prefix in PREFIXES)]
            raise FileError(
                f"File '{address}' has a column '{name[:100]}' (number {number}), which is none of an endpoint{nearest(name[:100], expected)}; "
                f"expected {', '.join(expected)}."
            )


def _number(name: str, cell: str) -> float:
    try:
        # Python's own grammar takes 1_000 too.
        number = float("" if "_" in cell else cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RowError(name, cell, "expected a number, for example 12.5")
    return number


def _require_once(address: str, names: Sequence[str]) -> None:
    """Only lists have several values."""
    seen: set[str] = set()
    for name in names:
        if name in seen and not name.startswith((LISTS, USER_LISTS)):
            raise FileError(f"File '{address}' has the column '{name[:100]}' twice; expected it once: only attributes have several values.")
        seen.add(name)
