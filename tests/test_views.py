"""The views and macros are read, held to the layers, ordered and created; each rule with a file that breaks it."""

import re
from pathlib import Path

import duckdb
import pytest
import yaml

from pipeline.ask.layers import FOLDER, ViewError
from pipeline.ask.library import create_all, load_library
from pipeline.ask.reader import open_empty_reader
from pipeline.config import load_settings
from schemas.tables import load_table
from tests.query_folder import write_queries

GOOD = {
    "staging/events.sql": "-- One row per event.\nselect * from lake.events",
    "core/a.sql": "-- One row per b.\nselect * from core.b",
    "core/b.sql": "-- One row per event.\nwith events as (select * from staging.events), x as (from settings)\nselect * from events, x",
    "kpis/active.sql": "-- One row per day.\nselect count(*) as n from core.a",
    "segments/all.sql": "-- One row per endpoint_id.\nselect * from core.a",
    "checks/assert_x.sql": "-- One row per event that is wrong.\n-- Severity: warn\nselect * from kpis.active union all select 1 from segments.all",
}


def load(folder: Path, **changed: str) -> list[str]:
    """Names in order; `changed` files by name with __ for /."""
    files = GOOD | {f"{name.replace('__', '/')}.sql": text for name, text in changed.items()}
    return list(load_library(write_queries(folder, files)).definitions)


def test_each_view_stands_after_those_it_reads(tmp_path: Path) -> None:
    names = load(tmp_path)
    assert sorted(names) == ["checks.assert_x", "core.a", "core.b", "kpis.active", "segments.all", "staging.events"]
    assert names.index("staging.events") < names.index("core.b") < names.index("core.a") < names.index("kpis.active")
    assert names[-1] == "checks.assert_x"


@pytest.mark.parametrize(
    ("name", "reads", "message"),
    [
        ("core__bad", "kpis.active", "never kpis"),
        ("core__bad", "checks.assert_x", "never checks"),
        ("staging__bad", "core.a", "never core"),
        ("kpis__bad", "segments.all", "never segments"),
        ("segments__bad", "kpis.active", "never kpis"),
        ("segments__bad", "checks.assert_x", "never checks"),
        ("core__bad", "lake.events", "only staging reads the lake"),
        ("checks__bad", "lake.events", "only staging reads the lake"),
        ("core__bad", "core.c", "is no view; expected layer.name"),
        ("core__bad", "events", "is no view; expected layer.name"),
        ("core__bad", "'s3://headwater/lake/events/x.parquet'", "is no view; expected layer.name"),
        ("core__bad", "pg_catalog.pg_class", "is no view; expected layer.name"),
    ],
)
def test_view_that_reads_beyond_its_layer_is_refused(tmp_path: Path, name: str, reads: str, message: str) -> None:
    with pytest.raises(ViewError, match=re.escape(message)) as caught:
        load(tmp_path, **{name: f"-- One row per x.\n-- Severity: fail\nselect * from {reads}"})
    assert "bad.sql" in str(caught.value)
    assert reads.strip("'") in str(caught.value)


@pytest.mark.parametrize(("name", "reads"), [("core__good", "core.a"), ("kpis__good", "kpis.active"), ("checks__good", "kpis.active")])
def test_view_that_reads_its_own_layer_or_below_is_loaded(tmp_path: Path, name: str, reads: str) -> None:
    """The control of the test above."""
    assert name.replace("__", ".") in load(tmp_path, **{name: f"-- One row per x.\n-- Severity: fail\nselect * from {reads}"})


def test_layers_are_read_by_the_parser_not_by_words(tmp_path: Path) -> None:
    text = "-- One row per x.\n-- from lake.events\nwith active as (select 'lake.events' as kpis) select kpis from active"
    assert "core.good" in load(tmp_path, core__good=text)


@pytest.mark.parametrize("second", ["", "-- Why so.", "-- Severity: bad", "-- Severity: fail, warn", "-- severity: fail"])
def test_check_without_a_severity_is_refused(tmp_path: Path, second: str) -> None:
    with pytest.raises(ViewError, match=r"assert_bad\.sql has the second line .* expected the check's severity"):
        load(tmp_path, checks__assert_bad=f"-- One row per x.\n{second}\nselect * from core.a")


def test_circle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match=r"circle: core\.\w -> core\.\w"):
        load(tmp_path, core__b="-- One row per x.\nselect * from core.a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("select * from core.a", "expected its grain"),
        ("-- All of it.\nselect * from core.a", "expected its grain"),
        ("-- One row per x.\ncreate view core.bad as select 1", "not one bare select"),
        ("-- One row per x.\nselect 1; select 2", "not one bare select"),
        ("-- One row per x.\nselect from where", "not one bare select"),
        ("-- One row per x.\n", "not one bare select"),
    ],
)
def test_file_that_is_not_one_select_with_its_grain_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ViewError, match=message) as caught:
        load(tmp_path, core__bad=text)
    assert "bad.sql" in str(caught.value)


def test_view_that_does_not_fit_what_it_reads_is_named_with_duckdbs_hint(tmp_path: Path) -> None:
    folder = write_queries(tmp_path, {"staging/x.sql": "-- One row per event.\nselect evnt_id from lake.events"})
    with duckdb.connect() as con:
        con.execute("create schema lake; create table lake.events(event_id text)")
        with pytest.raises(ViewError, match=r"(?s)x\.sql does not fit .*event_id"):
            create_all(con, load_library(folder), load_settings())


def test_grain_is_the_views_comment() -> None:
    with open_empty_reader(load_settings()) as reader:
        for view in reader.views:
            reader.columns(view.name)
        found = dict(reader.rows("select schema_name || '.' || view_name, comment from duckdb_views() where schema_name = 'core'"))
    assert found["core.sessions"] == "One row per app_id, endpoint_id and session_id."
    assert found == {view.name: view.grain for view in load_library().views if view.layer == "core"}


def test_settings_are_a_view_of_one_row() -> None:
    with open_empty_reader(load_settings(session_gap_mins=1.5, dedup_enabled=False)) as reader:
        assert reader.rows("from settings") == [(1.5, 24.0, 300.0, False, 168.0, True, 5.0, "UTC", {}, 24.0)]


def test_empty_lake_gives_empty_views_with_the_schemas_types() -> None:
    with open_empty_reader(load_settings(promoted_attributes=("Plan",))) as reader:
        for view in reader.views:
            # What is known of user agents, KPIs and charts stands in the views themselves.
            assert view.name in {"core.machine_agents", "kpis.names", "kpis.chart_names"} or reader.rows(f"select * from {view.name}") == []
        for name in ("events", "dead_letters", "dead_letter_replays", "imports"):
            columns = {column: kind.lower() for column, kind in reader.columns(f"staging.{name}")}
            expected = {column.name: column.duckdb for column in load_table(name).columns}
            assert columns == expected | ({"attribute_plan": "varchar"} if name == "events" else {})


def test_every_view_macro_and_column_of_core_stands_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text()
    words = set(re.findall(r"`([\w.]+)`", text))
    with open_empty_reader(load_settings()) as reader:
        staging = {column for column, _ in reader.columns("staging.events")}
        missing = {view.name for view in reader.views if view.name not in words}
        for view in reader.views:
            if view.layer == "core":
                missing |= {f"{view.name}.{column}" for column, _ in reader.columns(view.name) if column not in words | staging}
            assert view.grain.rstrip(".") in text, f"{view.name}: its grain is not in the README"
        missing |= {column for column, _ in reader.columns("settings") if column not in words}
    missing |= {macro.name for macro in load_library().macros if f"`{macro.name}(" not in text}
    assert missing == set()


def test_every_exposure_reads_views_that_exist_and_every_view_is_read() -> None:
    exposures = yaml.safe_load((FOLDER / "exposures.yml").read_text())["exposures"]
    views = {view.name: view for view in load_library().views}
    read = {name for exposure in exposures for name in exposure["reads"]}
    assert read - set(views) == set()
    assert all({"name", "owner", "what", "reads"} == set(exposure) for exposure in exposures)
    below = {name for view in views.values() for name in view.reads}
    assert set(views) - read - below == set()
