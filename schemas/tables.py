"""The lake's tables, read from their Avro schemas: Arrow schema, DuckDB columns and reference page all derive from one file.

Rules of evolution: a new version of a table may add nullable columns, nothing else; files of an older version are read
beside new ones, with nulls for what they lack. `check_evolution` holds a changed schema to that.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro.schema
import pyarrow as pa

from schemas.errors import UsageError

FOLDER = Path(__file__).parent
PROMOTED_PREFIX = "attribute_"


@dataclass(frozen=True)
class Column:
    """A column of a lake table: its Avro type without null, whether it may be null, and what it means."""

    name: str
    avro_type: Any
    is_nullable: bool
    doc: str

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, _arrow_type(self.avro_type), nullable=self.is_nullable)

    @property
    def duckdb(self) -> str:
        return _duckdb_type(self.avro_type)


@dataclass(frozen=True)
class TableSchema:
    """A lake table: columns in order, the folder columns, the grain in one sentence."""

    name: str
    version: int
    doc: str
    grain: str
    partition_by: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([column.arrow for column in self.columns])

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    def with_promoted(self, attributes: Sequence[str]) -> "TableSchema":
        """The same table with a nullable text column `attribute_<name>` for each promoted attribute, in the order given.

        Raises UsageError for two attributes that would share a column.
        """
        taken: dict[str, str] = {}
        for number, name in enumerate(attributes):
            other = taken.setdefault(promoted_column(name), name)
            if len(taken) <= number:
                raise UsageError(
                    f"Promoted attributes '{other}' and '{name}' (HEADWATER_PROMOTED_ATTRIBUTES) both become column '{promoted_column(name)}'; "
                    "promote one of them."
                )
        promoted = tuple(
            Column(promoted_column(name), "string", True, f"The event's attribute {name!r}, promoted to a column.") for name in attributes
        )
        return TableSchema(self.name, self.version, self.doc, self.grain, self.partition_by, self.columns + promoted)


def promoted_column(attribute: str) -> str:
    """Column of a promoted attribute: lower case, anything but letters, digits and _ becomes _."""
    return PROMOTED_PREFIX + "".join(char if char.isascii() and char.isalnum() else "_" for char in attribute.lower())


@functools.cache
def load_table(name: str) -> TableSchema:
    """Load `schemas/<name>.avsc`; fastavro checks that it is a valid Avro schema."""
    text = (FOLDER / f"{name}.avsc").read_text()
    fastavro.schema.parse_schema(json.loads(text))
    return parse_table(text)


def parse_table(text: str) -> TableSchema:
    """A table from the text of its Avro schema (its own properties: version, grain, partition_by)."""
    found = json.loads(text)
    return TableSchema(
        name=found["name"],
        version=found["version"],
        doc=found["doc"],
        grain=found["grain"],
        partition_by=tuple(found["partition_by"]),
        columns=tuple(_parse_column(field) for field in found["fields"]),
    )


def check_evolution(old: TableSchema, new: TableSchema) -> list[str]:
    """What breaks the rules between two versions of a table, one sentence each; empty when all is well."""
    problems = []
    after = {column.name: column for column in new.columns}
    for column in old.columns:
        found = after.get(column.name)
        if found is None:
            problems.append(f"Column '{column.name}' is gone; columns are never removed.")
        elif (found.avro_type, found.is_nullable) != (column.avro_type, column.is_nullable):
            problems.append(f"Column '{column.name}' changed its type; add a column of another name instead.")
    before = set(old.column_names)
    for column in new.columns:
        if column.name not in before and not column.is_nullable:
            problems.append(f"Column '{column.name}' is new and not nullable; files of version {old.version} have no value for it.")
    if old.partition_by != new.partition_by:
        problems.append(f"The folders changed from {list(old.partition_by)} to {list(new.partition_by)}; they are settled for ever.")
    if old.columns != new.columns and new.version <= old.version:
        problems.append(f"The columns changed and the version is still {new.version}; raise it.")
    return problems


def _parse_column(field: dict[str, Any]) -> Column:
    declared = field["type"]
    if isinstance(declared, list):
        (inner,) = [part for part in declared if part != "null"]
        return Column(field["name"], inner, "null" in declared, field["doc"])
    return Column(field["name"], declared, False, field["doc"])


_ARROW = {"string": pa.string(), "bytes": pa.binary(), "long": pa.int64(), "int": pa.int32(), "double": pa.float64(), "boolean": pa.bool_()}
_DUCKDB = {"string": "varchar", "bytes": "blob", "long": "bigint", "int": "integer", "double": "double", "boolean": "boolean"}


def _arrow_type(avro: Any) -> pa.DataType:
    if isinstance(avro, str):
        return _ARROW[avro]
    if avro.get("logicalType") == "timestamp-millis":
        # Delta keeps microseconds.
        return pa.timestamp("us", tz="UTC")
    if avro.get("logicalType") == "date":
        return pa.date32()
    if avro["type"] == "map":
        return pa.map_(pa.string(), _arrow_type(avro["values"]))
    return pa.list_(_arrow_type(avro["items"]))


def _duckdb_type(avro: Any) -> str:
    if isinstance(avro, str):
        return _DUCKDB[avro]
    if avro.get("logicalType") == "timestamp-millis":
        return "timestamp with time zone"
    if avro.get("logicalType") == "date":
        return "date"
    if avro["type"] == "map":
        return f"map(varchar, {_duckdb_type(avro['values'])})"
    return f"{_duckdb_type(avro['items'])}[]"
