"""Queries of one's own beside ours: they are asked and checked like ours, and a file that cannot be used takes no other down."""

import json
import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from pipeline.ask.layers import ViewError
from pipeline.ask.library import load_library
from pipeline.ask.reader import QueryError, Reader, open_empty_reader
from pipeline.ask.sql_tree import RefusedError
from pipeline.config import Settings, load_settings
from pipeline.dialects.engine import Engine
from pipeline.dialects.script import translate_views, write_script
from pipeline.doctor.check import Case
from pipeline.doctor.finding import State
from pipeline.doctor.queries import check_own_queries
from pipeline.pages.site.catalog import build_catalog
from schemas.errors import UsageError
from tests.conftest import headwater
from tests.lake_rows import at, library, purchase, write_lake
from tests.query_folder import write_queries

OWN = {
    "kpis/big_baskets.sql": "-- One row per app_id of purchases over 100.\nselect app_id, sum(doubled(revenue)) as revenue from core.purchases where revenue > 100 group by all",
    "macros/doubled.sql": "-- A value: twice as much.\n-- amount: DOUBLE.\ncreate macro doubled(amount) as amount * 2",
    "checks/assert_no_basket_is_huge.sql": "-- One row per basket over 1000.\n-- Severity: fail\nselect app_id, revenue from core.purchases where revenue > 1000",
}


def left_out(folder: Path, **files: str) -> dict[str, str]:
    """Reasons by name with these files beside OWN, all of which is there; in their names __ stands for /."""
    found = load_library(own=write_queries(folder, OWN | {f"{name.replace('__', '/')}.sql": text for name, text in files.items()}))
    ours = library().definitions
    assert {name: found.definitions[name].sql for name in ours} == {name: one.sql for name, one in ours.items()}
    assert {"kpis.big_baskets", "doubled", "checks.assert_no_basket_is_huge"} == set(found.definitions) - set(ours) - {"kpis.good"}
    return dict(found.left_out)


def own_reader(folder: Path) -> Reader:
    return open_empty_reader(load_settings(queries_folder=folder))


ONE = "-- One row per event.\n"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("kpis__bad", "select 1", "begins with 'select 1'; expected its grain"),
        ("kpis__bad", ONE + "select from where", "is not one bare select"),
        ("kpis__bad", ONE + "drop view core.events", "is not one bare select"),
        ("kpis__bad", ONE + "from core.nothing", "reads 'core.nothing', which is no view"),
        ("kpis__bad", ONE + "from lake.events", "only staging reads the lake"),
        ("core__bad", ONE + "from kpis.big_baskets", "never kpis"),
        ("checks__assert_bad", ONE + "from core.events", "expected the check's severity"),
        ("core__events", ONE + "from staging.events", "has the name of"),
        ("macros__rate", "-- A value: x.\ncreate macro rate(a, b) as a", "has the name of"),
        ("macros__sum", "-- A value: x.\ncreate macro sum(a) as a", "has the name of a function or a word of SQL, 'sum'"),
        ("macros__error", "-- A value: x.\ncreate macro error(a) as a", "has the name of a function or a word of SQL, 'error'"),
        ("checks__bad", ONE + "from core.events", "expected assert_bad.sql"),
        ("kpis__from", ONE + "from core.events", "has the name of a function or a word of SQL, 'from'"),
        ("kpis__Bad Name", ONE + "from core.events", "expected small letters, digits and _"),
        ("kpis__bad", ONE + "from kpis.bad", "reads itself in a circle: kpis.bad -> kpis.bad"),
    ],
)
def test_a_file_that_cannot_be_used_is_left_out_with_the_reason(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (found,) = left_out(tmp_path, **{name: text, "kpis__good": ONE + "from core.events"}).items()
    assert found[0] == (name.replace("__", ".") if not name.startswith("macros") else name.removeprefix("macros__"))
    assert re.search(re.escape(reason), found[1])
    assert str(tmp_path) in found[1]


def test_what_names_a_file_that_is_left_out_is_left_out_too_and_what_stands_in_no_layer(tmp_path: Path) -> None:
    found = left_out(
        tmp_path,
        kpis__bad="select 1",
        kpis__above=ONE + "from kpis.bad",
        kpis__highest=ONE + "from kpis.above",
        kpis__one=ONE + "from kpis.two",
        kpis__two=ONE + "from kpis.one",
        reports__odd=ONE + "from core.events",
        odd=ONE + "from core.events",
    )
    assert set(found) == {"kpis.bad", "kpis.above", "kpis.highest", "kpis.one", "kpis.two", "reports/odd.sql", "odd.sql"}
    assert "names kpis.bad, which is left out itself" in found["kpis.above"]
    assert "names kpis.above, which is left out itself" in found["kpis.highest"]
    assert "kpis.one" in found["kpis.two"]
    assert "circle" in found["kpis.two"]
    assert f"expected {tmp_path}/LAYER/odd.sql" in found["reports/odd.sql"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"HEADWATER_QUERIES_FOLDER is '.*none'; expected a folder with the layers staging, core"):
        load_library(own=tmp_path / "none")


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "kpis").mkdir()
    (tmp_path / "kpis" / "latin.sql").write_bytes("-- One row per caf\xe9.\nfrom core.events".encode("latin-1"))
    (tmp_path / "kpis" / "folder.sql").mkdir()
    (tmp_path / "kpis" / "gone.sql").symlink_to(tmp_path / "nowhere.sql")
    found = left_out(tmp_path)
    assert set(found) == {"kpis.latin", "kpis.folder", "kpis.gone"}
    assert all("cannot be read" in reason and "expected a file of SQL in UTF-8" in reason for reason in found.values())


# Each is bound when it is asked, and fails then.
MISFITS = {
    "kpis/misfit.sql": ONE + "select nothing_of_this_name from core.events",
    "macros/misfit_of.sql": "-- One row per event.\ncreate macro misfit_of() as table select nothing_of_this_name from core.events",
}


def test_a_view_that_does_not_fit_its_columns_fails_alone(tmp_path: Path) -> None:
    write_queries(tmp_path, OWN | MISFITS | {"kpis/bad.sql": "select 1"})
    with own_reader(tmp_path) as reader:
        assert reader.rows("select * from kpis.big_baskets") == []
        with reader.ask("select * from kpis.big_baskets") as answer:
            assert answer.fetchall() == []
        with pytest.raises(ViewError, match=r"misfit.sql does not fit what it reads"):
            reader.columns("kpis.misfit")
        with pytest.raises(RefusedError, match=r"'kpis.bad' is left out: .*expected its grain"), reader.ask("from kpis.bad"):
            pass
        with pytest.raises((RefusedError, QueryError), match="is not a view of Headwater"), reader.ask("from kpis.nothing"):
            pass
        translations = translate_views(reader, Engine.TRINO)
        script = write_script(translations, reader, load_settings(), Engine.TRINO)
        entries = build_catalog(reader, tmp_path).entries
    # The reasons of DuckDB have several lines, and none of them is a statement.
    created = [one.this.sql() for one in sqlglot.parse(script, read="trino") if isinstance(one, exp.Create) and one.kind == "VIEW"]
    assert "kpis.big_baskets" in created
    assert "kpis.misfit" not in created
    assert {name for name, one in entries.items() if one.broken} == {"kpis.misfit", "misfit_of"}
    assert entries["kpis.big_baskets"].columns
    said = {one.view.name: one for one in translations}
    assert said["kpis.big_baskets"].sql is not None
    assert "does not fit what it reads" in (said["kpis.misfit"].reason or "")
    assert said["core.events"].sql is not None


def test_the_doctor_names_each_file_that_is_wrong(tmp_path: Path) -> None:
    def states(folder: Path | None) -> dict[str, State]:
        return {one.subject: one.state for one in check_own_queries(Case(load_settings(queries_folder=folder)))}

    assert states(None) == {"queries of one's own": State.OK}
    assert states(write_queries(tmp_path / "good", OWN)) == {"queries of one's own": State.OK}
    bad = OWN | MISFITS | {"kpis/bad.sql": "select 1"}
    wrong = ("kpis.bad", "kpis.misfit", "misfit_of")
    assert states(write_queries(tmp_path / "bad", bad)) == dict.fromkeys(wrong, State.BROKEN)
    assert states(tmp_path / "none") == {"queries of one's own": State.BROKEN}


def test_commands_take_views_and_checks_of_ones_own(settings: Settings, tmp_path: Path) -> None:
    write_lake(settings, "events", [purchase(150, 2), purchase(2000), purchase(3, event_timestamp=at(5))])
    folder = str(write_queries(tmp_path / "own", OWN))
    asked = headwater(settings, "sql", "from kpis.big_baskets", "--json", queries_folder=folder)
    assert json.loads(asked.stdout) == [{"app_id": "shop", "revenue": 4600.0}]
    listed = headwater(settings, "views", queries_folder=folder)
    assert "kpis.big_baskets" in listed.stdout
    assert "doubled(amount)" in listed.stdout
    checked = headwater(settings, "check", "--only", "no_basket_is_huge", "--json", queries_folder=folder)
    assert checked.returncode == 1
    (result,) = json.loads(checked.stdout)["checks"]
    assert (result["state"], result["row_count"]) == ("fail", 1)
    write_queries(tmp_path / "own", {"checks/assert_bad.sql": "select 1"})
    everything = headwater(settings, "check", "--json", queries_folder=folder)
    found = {one["check"]: one["state"] for one in json.loads(everything.stdout)["checks"]}
    assert found["checks.assert_bad"] == "error"
    assert found["checks.assert_no_basket_is_huge"] == "fail"
    assert found["checks.assert_each_record_landed_once"] == "ok"
    only = headwater(settings, "check", "--only", "bad", queries_folder=folder)
    assert only.returncode == 2
    assert "Check 'bad' is left out: " in only.stderr
    graph = headwater(settings, "views", "graph", "checks.assert_bad", queries_folder=folder)
    assert "'checks.assert_bad' is left out: " in graph.stderr
    assert "Left out: checks.assert_bad: " in headwater(settings, "views", queries_folder=folder).stderr
    # Without the folder there is neither.
    assert "is not a view of Headwater" in headwater(settings, "sql", "from kpis.big_baskets").stderr
