"""The reference page of the lake's tables and of what comes in: read off the Avro schemas and the examples."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import schemas.tables
from pipeline.pages.markdown import WRITTEN, markdown_table
from schemas.tables import Column, TableSchema, load_table

_KINDS = {"record": "object", "enum": "string of a list"}


def render_tables() -> str:
    """The lake's tables, the stream record and the standard event types."""
    paths = sorted(schemas.tables.FOLDER.glob("*.avsc"))
    tables = [load_table(path.stem) for path in paths if "partition_by" in json.loads(path.read_text())]
    tables.sort(key=lambda table: table.name != "events")
    record, rejected = (json.loads((schemas.tables.FOLDER / f"{name}.avsc").read_text()) for name in ("stream_record", "rejected_event"))
    parts = [
        "# Tables of the lake\n",
        WRITTEN.format(source="schemas/*.avsc"),
        "Times are UTC, kept in microseconds. A column that may be null says so.\n",
        *(_render_table(table) for table in tables),
        "## The stream record\n",
        f"{record['doc']} This is what topic `raw-events` carries, JSON; times are milliseconds since 1970.\n",
        markdown_table(["field", "type", "meaning"], _record_rows(record["fields"], "")),
        "## The rejected event\n",
        f"{rejected['doc']} JSON; each becomes a row of [dead_letters](#dead_letters).\n",
        markdown_table(["field", "type", "meaning"], _record_rows(rejected["fields"], "")),
        "## Event types with an example\n",
        "One stream record each in schemas/examples/. Any other type lands just the same.\n",
        markdown_table(["event_type", "attributes", "metrics"], _example_rows()),
    ]
    return "\n".join(parts)


def _render_table(table: TableSchema) -> str:
    folders = f"Folders: {', '.join(f'`{name}`' for name in table.partition_by)}." if table.partition_by else "No folders."
    rows = [(f"`{column.name}`", _column_type(column), column.doc) for column in table.columns]
    return f"## {table.name}\n\n{table.doc} {table.grain} Version {table.version}. {folders}\n\n" + markdown_table(
        ["column", "type", "meaning"], rows
    )


def _column_type(column: Column) -> str:
    return column.duckdb + (", null" if column.is_nullable else "")


def _record_rows(fields: Iterable[Mapping[str, Any]], path: str) -> list[tuple[str, str, str]]:
    rows = []
    for field in fields:
        declared = field["type"]
        is_optional = isinstance(declared, list)
        kind = next(part for part in declared if part != "null") if is_optional else declared
        name = kind if isinstance(kind, str) else _KINDS.get(kind["type"]) or f"{kind['type']} of {kind['values']}"
        name = "object" if field.get("json") else name
        rows.append((f"`{path}{field['name']}`", name if is_optional else f"{name}, required", field["doc"]))
        if isinstance(kind, dict) and kind["type"] == "record":
            rows += _record_rows(kind["fields"], f"{path}{field['name']}.")
    return rows


def _example_rows() -> list[tuple[str, str, str]]:
    rows = []
    for path in sorted((schemas.tables.FOLDER / "examples").glob("*.json"), key=lambda path: path.name.lower()):
        example = json.loads(path.read_text())
        attributes, metrics = (", ".join(f"`{name}`" for name in example.get(part) or {}) for part in ("attributes", "metrics"))
        rows.append((f"[{example['event_type']}](examples/{path.name})", attributes, metrics))
    return rows
