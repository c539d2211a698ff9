"""The schemas: valid Avro, one source of Arrow, DuckDB and Avro rows, and rules of evolution that hold."""

import datetime as dt
import importlib.resources
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import fastavro
import pyarrow as pa
import pytest
from deltalake.schema import PrimitiveType

import schemas.tables
from agents.enrich import EnrichRules, enrich_batch
from agents.enrichment.enrichments import ENRICHMENTS
from schemas.errors import UsageError
from schemas.records import DEAD, PARSED, Reason
from schemas.tables import TableSchema, check_evolution, load_table, parse_table, promoted_column
from tests.parsed_rows import parsed_table

TABLES = sorted(path.stem for path in schemas.tables.FOLDER.glob("*.avsc") if path.stem not in {"stream_record", "rejected_event"})
Document = dict[str, Any]

# The tables of each released version, by their columns: a change that breaks the rules breaks files that exist.
RELEASED = Path(__file__).parent / "released_schemas.json"


def avsc(name: str) -> Document:
    return json.loads((schemas.tables.FOLDER / f"{name}.avsc").read_text())  # type: ignore[no-any-return]


def changed(change: Callable[[Document], None], name: str = "events") -> TableSchema:
    document = avsc(name)
    document["version"] += 1
    change(document)
    return parse_table(json.dumps(document))


def events() -> pa.Table:
    """Two events, one with everything that enrichment fills."""
    full: dict[str, Any] = {name: value for enrichment in reversed(ENRICHMENTS) for name, value in enrichment.before.items()}
    full |= {"session_start_timestamp": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "metrics": {"price": 9.5}}
    with duckdb.connect() as con:
        return enrich_batch(con, parsed_table(full, {}), EnrichRules())


@pytest.mark.parametrize("path", sorted(schemas.tables.FOLDER.glob("*.avsc")), ids=lambda path: path.stem)
def test_schema_is_valid_avro(path: Path) -> None:
    fastavro.schema.parse_schema(json.loads(path.read_text()))


def test_what_is_not_avro_is_refused() -> None:
    with pytest.raises(fastavro.schema.UnknownType):
        fastavro.schema.parse_schema(avsc("events") | {"fields": [{"name": "x", "type": "txt"}]})


@pytest.mark.parametrize("name", TABLES)
def test_every_column_and_table_says_what_it_means(name: str) -> None:
    table = load_table(name)
    assert [column.name for column in table.columns if not column.doc.endswith(".")] == []
    assert table.grain.startswith("One row per ")
    assert len(set(table.column_names)) == len(table.columns)
    assert set(table.partition_by) <= set(table.column_names)


@pytest.mark.parametrize("name", TABLES)
def test_nullable_columns_have_null_as_their_default(name: str) -> None:
    fields = [field for field in avsc(name)["fields"] if isinstance(field["type"], list)]
    assert [field["name"] for field in fields if field["type"][0] != "null" or field.get("default", 0) is not None] == []


@pytest.mark.parametrize("name", TABLES)
def test_duckdb_columns_hold_what_the_arrow_schema_says(name: str) -> None:
    table = load_table(name)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(f"create table t ({', '.join(f'{column.name} {column.duckdb}' for column in table.columns)})")
        found = con.execute("from t").to_arrow_table().schema
    assert [field.name for field in found] == table.column_names
    con_types = {field.name: field.type for field in found}
    for field in table.arrow:
        assert pa.nulls(1, con_types[field.name]).cast(field.type).type == field.type
        assert str(con_types[field.name]).split("<")[0].split("[")[0] == str(field.type).split("<")[0].split("[")[0]


def test_steps_tables_end_in_the_columns_of_the_lake() -> None:
    assert set(DEAD.names) | {"topic", "arrival_date"} == set(load_table("dead_letters").column_names)
    positions = {"_topic_id", "_partition", "_offset", "_appended_at", "_payload_hash"}
    assert positions <= set(PARSED.names) & set(load_table("events").column_names)


def test_every_reason_of_a_dead_letter_is_one_short_word() -> None:
    assert [reason for reason in Reason if not reason.replace("_", "").isalnum() or len(reason) > 20] == []
    assert len(Reason) <= 14


def test_rows_of_events_go_through_avro_unchanged() -> None:
    table = events()
    rows = table.to_pylist(maps_as_pydicts="strict")
    schema = fastavro.schema.parse_schema(avsc("events"))
    file = io.BytesIO()
    fastavro.writer(file, schema, rows, validator=True)
    file.seek(0)
    back: list[Any] = list(fastavro.reader(file))
    assert back == rows
    arrays = [pa.array([_as_arrow(row[field.name]) for row in back], field.type) for field in table.schema]
    assert pa.table(arrays, schema=table.schema).equals(table)


def _as_arrow(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


@pytest.mark.parametrize("path", sorted((schemas.tables.FOLDER / "examples").glob("*.json")), ids=lambda path: path.stem)
def test_example_is_a_stream_record_by_its_avro_schema(path: Path) -> None:
    example = json.loads(path.read_text())
    if "facets" in example:
        example["facets"] = json.dumps(example["facets"])
    example["metrics"] = {name: float(value) for name, value in (example.get("metrics") or {}).items()}
    assert fastavro.validation.validate(example, fastavro.schema.parse_schema(avsc("stream_record")), strict=False)
    assert example["event_type"] == path.stem


# Evolution


def _add(name: str, declared: Any) -> Callable[[Document], None]:
    return lambda document: document["fields"].append({"name": name, "type": declared, "default": None, "doc": "New."})


def _drop(document: Document) -> None:
    document["fields"] = [field for field in document["fields"] if field["name"] != "browser"]


def _rename(document: Document) -> None:
    next(field for field in document["fields"] if field["name"] == "browser")["name"] = "browser_family"


def _retype(document: Document) -> None:
    next(field for field in document["fields"] if field["name"] == "browser")["type"] = ["null", "long"]


def _require(document: Document) -> None:
    next(field for field in document["fields"] if field["name"] == "browser")["type"] = "string"


def _move_folders(document: Document) -> None:
    document["partition_by"] = ["app_id"]


def _keep_version(document: Document) -> None:
    _add("new", ["null", "string"])(document)
    document["version"] -= 1


def test_nullable_addition_with_a_new_version_is_allowed() -> None:
    assert check_evolution(load_table("events"), changed(_add("new", ["null", "string"]))) == []
    assert check_evolution(load_table("events"), load_table("events")) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_add("new", "string"), "'new'"),
        (_drop, "'browser'"),
        (_rename, "'browser'"),
        (_retype, "'browser'"),
        (_require, "'browser'"),
        (_move_folders, "app_id"),
        (_keep_version, "version"),
    ],
)
def test_every_other_change_is_named(change: Callable[[Document], None], named: str) -> None:
    (problem,) = check_evolution(load_table("events"), changed(change))
    assert named in problem


@pytest.mark.parametrize("name", TABLES)
def test_tables_follow_from_their_released_versions(name: str) -> None:
    now = avsc(name)
    for field in now["fields"]:
        # Wording may change at any time.
        field["doc"] = "."
    released = json.loads(RELEASED.read_text())[name]
    assert check_evolution(parse_table(json.dumps(released)), parse_table(json.dumps(now))) == []


def test_promoted_columns_are_nullable_additions_of_a_configured_name() -> None:
    table = load_table("events").with_promoted(["plan", "Store-Id"])
    assert table.column_names[-2:] == ["attribute_plan", "attribute_store_id"]
    assert all(column.is_nullable for column in table.columns[-2:])
    assert promoted_column("été 2") == "attribute__t__2"


@pytest.mark.parametrize("attributes", [("a b", "a-b"), ("plan", "x", "Plan"), ("plan", "plan")])
def test_two_promoted_attributes_of_one_column_are_refused_by_name(attributes: tuple[str, ...]) -> None:
    first, last = attributes[0], attributes[-1]
    with pytest.raises(UsageError, match=f"'{first}' and '{last}'.* both become column '{promoted_column(first)}'"):
        load_table("events").with_promoted(attributes)


def _previous() -> TableSchema:
    """Events as they were before their last nullable columns came."""
    late = {"traffic", "traffic_rule", "extra", "browser"}

    def shorten(document: Document) -> None:
        document["fields"] = [field for field in document["fields"] if field["name"] not in late]

    return changed(shorten)


def test_files_of_the_previous_schema_are_read_beside_new_ones(tmp_path: Path) -> None:
    now, old = events(), _previous()
    folder = str(tmp_path / "events")
    deltalake.write_deltalake(folder, now.select(old.column_names).cast(old.arrow), partition_by=["arrival_date"])
    table = deltalake.DeltaTable(folder)
    missing = [column for column in load_table("events").columns if column.name not in set(old.column_names)]
    table.alter.add_columns([deltalake.Field(column.name, PrimitiveType("string"), nullable=True) for column in missing])
    deltalake.write_deltalake(folder, now, mode="append")
    with duckdb.connect() as con:
        con.execute(f"load '{_delta_extension()}'")
        names = [column.name for column in missing]
        scanned = con.execute(f"select event_type, {', '.join(names)} from delta_scan('{folder}') order by all").fetchall()
        files = con.execute(f"select {', '.join(names)} from read_parquet('{folder}/*/*.parquet', union_by_name = true)").fetchall()
    by_delta = deltalake.DeltaTable(folder).to_pyarrow_table()
    assert len(scanned) == len(files) == by_delta.num_rows == 4
    new_rows = [tuple(row[name] for name in names) for row in now.select(names).to_pylist()]
    for found in ([row[1:] for row in scanned], files, [tuple(row[name] for name in names) for row in by_delta.to_pylist()]):
        assert sorted(found, key=repr) == sorted([*new_rows, (None,) * 4, (None,) * 4], key=repr)


def _delta_extension() -> str:
    package = importlib.resources.files("duckdb_extension_delta")
    return str(package / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension")


def test_column_of_another_type_is_refused_beside_old_files(tmp_path: Path) -> None:
    folder, now = str(tmp_path / "events"), events()
    deltalake.write_deltalake(folder, now)
    place = now.column_names.index("model")
    retyped = now.set_column(place, "model", pa.array([{"name": "x"}] * len(now)))
    with pytest.raises((deltalake.exceptions.DeltaError, deltalake.exceptions.SchemaMismatchError)):
        deltalake.write_deltalake(folder, retyped, mode="append", schema_mode="merge")
