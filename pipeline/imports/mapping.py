"""A mapping applied: the columns of a row become the fields, attributes and metrics of a stream record."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.imports.fields import TIMES, USER_ID, Record, as_number, as_text, as_time, put, put_user_id, require
from pipeline.imports.rows import FileError, RowError, nearest

Unmapped = Literal["extra", "attributes", "ignore"]
_MISSING = object()


@dataclass(frozen=True)
class Cell:
    """Where a value comes from: a column, or a constant for every row."""

    column: str | None
    constant: Any = None
    format: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class CsvOptions:
    """How a CSV file is written. `separator` '' means any run of blanks; `columns` names them where the file does not."""

    separator: str | None = None
    columns: tuple[str, ...] = ()
    skip_rows: int = 0
    encoding: str = "utf-8-sig"
    decimal: str = "."


@dataclass(frozen=True)
class Mapping:
    """A mapping as read, checked. `text` is the file as JSON, kept beside every import that used it."""

    path: str
    fields: dict[str, Cell]
    attributes: dict[str, Cell]
    metrics: dict[str, Cell]
    unmapped: Unmapped = "extra"
    csv: CsvOptions = field(default_factory=CsvOptions)
    text: str = ""

    @property
    def columns(self) -> set[str]:
        """Every column that the mapping names."""
        cells = [*self.fields.values(), *self.attributes.values(), *self.metrics.values()]
        return {cell.column for cell in cells if cell.column is not None}

    def check_columns(self, address: str, found: list[str]) -> None:
        """Raises FileError for the first mapped column that the file lacks."""
        for column in sorted(self.columns):
            if column not in found and column.split(".")[0] not in found:
                raise FileError(
                    f"File '{address}' has no column '{column}'{nearest(column, found)}, which mapping '{self.path}' names; "
                    f"it has {', '.join(found[:50]) or 'none'}. Correct the mapping."
                )

    def unmapped_columns(self, found: Iterable[str]) -> list[str]:
        """Columns of the file that no field, attribute or metric takes."""
        used = {column.split(".")[0] for column in self.columns} | self.columns
        return [name for name in found if name not in used]

    def build_record(self, row: dict[str, Any], app_id: str | None, unmapped: Sequence[str]) -> Record:
        """The stream record of a row; `app_id` wins over the mapping's, `unmapped` are the row's columns that it does not name.

        Raises RowError when a value does not fit its field.
        """
        record: Record = {}
        for name, cell in self.fields.items():
            value = self._value(row, cell)
            if value is None or name == USER_ID:
                continue
            put(record, name, as_time(name, value, cell.format, cell.zone) if name in TIMES else _field(name, value))
        if USER_ID in self.fields and (user_id := self._value(row, self.fields[USER_ID])) is not None:
            put_user_id(record, as_text(user_id))
        if app_id:
            put(record, "app_id", app_id)
        attributes = {name: as_text(value) for name, cell in self.attributes.items() if (value := self._value(row, cell)) is not None}
        metrics = {
            name: as_number(name, self._decimal(value))
            for name, cell in self.metrics.items()
            if (value := self._value(row, cell)) is not None
        }
        if self.unmapped != "ignore":
            rest = {name: row[name] for name in unmapped if row[name] is not None and row[name] != ""}
            if self.unmapped == "attributes":
                attributes |= {name: as_text(value) for name, value in rest.items()}
            elif rest:
                record["unmapped"] = rest
        if attributes:
            record["attributes"] = attributes
        if metrics:
            record["metrics"] = metrics
        require(record)
        return record

    def _value(self, row: dict[str, Any], cell: Cell) -> Any:
        """The cell's value in this row; None where there is none, an empty text among them."""
        if cell.column is None:
            return cell.constant
        value = row.get(cell.column, _MISSING)
        if value is _MISSING:
            value = row
            for part in cell.column.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        return None if value == "" else value

    def _decimal(self, value: Any) -> Any:
        if self.csv.decimal == "," and isinstance(value, str):
            return value.replace(".", "").replace(",", ".")
        return value


def _field(name: str, value: Any) -> Any:
    if name == "facets" and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            raise RowError(name, value, "expected JSON inside text") from None
    return value if name == "facets" else as_text(value)
