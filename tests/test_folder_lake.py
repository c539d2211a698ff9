"""Every macro that people ask, over Delta tables as they lie in a bucket: a table in memory has no view with the names of its columns beneath it."""

from pathlib import Path

import pytest

from pipeline.ask import lake_relations
from pipeline.config import load_settings
from schemas.tables import load_table
from tests.folder_lake import append_rows, folder_reader
from tests.lake_rows import as_arrow, event, library
from tests.message_rows import RUN, decision

DAYS = "'2026-11-23', '2026-11-23'"
# What they must be told; the others take days alone.
ARGUMENTS = {
    "funnel": f"['buy'], {DAYS}",
    "trend": f"'buy', {DAYS}",
    "attribution": f"'buy', {DAYS}",
    "lift": "'c1', 'buy'",
    "check_names": "null",
    "unusual_share": "null",
    "active_days": "",
    "endpoint_users": "",
    "subject_moments": "",
    "subject_purchases": "",
}


def write(folder: Path) -> None:
    events = [event(event_type="buy"), decision("PUSH", endpoint_id="phone-1", **RUN)]
    append_rows(folder, "events", as_arrow(load_table("events"), events))


@pytest.mark.parametrize("macro", sorted(library().table_macros - {"chart_lines"}))
def test_macro_is_answered_over_delta_tables(macro: str, tmp_path: Path) -> None:
    write(tmp_path)
    with folder_reader(tmp_path, load_settings(home=tmp_path)) as reader:
        reader.rows(f"from {macro}({ARGUMENTS.get(macro, DAYS)})")


def test_columns_of_the_lake_that_are_not_named_in_full_refuse_parameters_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: attribution has the parameter model, and events have the model of a device."""
    monkeypatch.setattr(lake_relations, "_in_full", lake_relations._identifier)
    write(tmp_path)
    with (
        folder_reader(tmp_path, load_settings(home=tmp_path)) as reader,
        pytest.raises(Exception, match="Conflicting column names for column model"),
    ):
        reader.rows(f"from attribution('buy', {DAYS})")
