"""The API's own table of endpoints when something breaks: what DuckDB has given up is loaded anew, what is away is tried again."""

import asyncio
import datetime as dt
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, cast

import duckdb
import pytest
from prometheus_client import CollectorRegistry

from pipeline.api.metrics import ApiMetrics
from pipeline.config import Settings, load_settings
from pipeline.endpoints import index as module
from pipeline.endpoints.follow import EndpointFollower
from pipeline.endpoints.horizon import BATCH_ROWS
from pipeline.endpoints.index import READERS, EndpointIndex, LoadedTable, NotLoadedError
from schemas.errors import UnavailableError
from tests.worker_process import wait_until

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


class Following:
    """Stands in for the lake and its merging, which cannot be made to break at will: a table that `errors` come out of, one a call."""

    opened: ClassVar[list["Following"]]
    errors: ClassVar[list[Exception | None]]
    late_count = 0

    def __init__(self, _: object) -> None:
        self.as_of: dt.datetime | None = None
        self.is_closed = False
        self.con = duckdb.connect()
        self.opened.append(self)

    def open_cursor(self) -> duckdb.DuckDBPyConnection:
        return self.con.cursor()

    def follow(self) -> int:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.as_of = NOON
        return 0

    def interrupt(self) -> None:
        self.con.interrupt()

    def close(self) -> None:
        self.is_closed = True
        self.con.close()


def follow_through(monkeypatch: pytest.MonkeyPatch, folder: Path, *errors: Exception | None) -> list[Following]:
    """The tables that were opened while these errors came, until all went well again, and then to the end."""

    class Rigged(Following):
        pass

    Rigged.opened, Rigged.errors = [], list(errors)
    monkeypatch.setattr(module, "EndpointFollower", Rigged)
    metrics = ApiMetrics(CollectorRegistry())
    index = EndpointIndex(load_settings(home=folder, api_endpoints_refresh_secs=0.01), metrics)
    assert (index.as_of, index.age_secs) == (None, -1)
    index.start()
    wait_until(lambda: not Rigged.errors and index.as_of == NOON, "all went well again")
    index.close(10)
    failures = metrics.registry.get_sample_value("headwater_api_endpoints_failures_total")
    assert failures == len([error for error in errors if error is not None])
    return Rigged.opened


def test_outage_is_tried_again_on_the_table_that_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outages = (UnavailableError("Kafka is away."), OSError("S3 is away."), None, duckdb.OutOfMemoryException("too much"))
    assert [each.is_closed for each in follow_through(monkeypatch, tmp_path, *outages)] == [True]


def test_table_that_duckdb_has_given_up_is_loaded_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = follow_through(monkeypatch, tmp_path, None, duckdb.FatalException("database has been invalidated"))
    assert [each.is_closed for each in found] == [True, True]


def test_what_is_away_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    follow_through(monkeypatch, tmp_path, *(UnavailableError("Kafka is away.") for _ in range(3)))
    assert [record.getMessage() for record in caplog.records if record.name == "pipeline.endpoints.index"] == [
        "Endpoints are shown as of no moment yet: Kafka is away.",
        "Endpoints are followed again.",
    ]


class Waits(threading.Event):
    """The index's pauses, none of which takes any time."""

    def __init__(self, secs: list[float], count: int) -> None:
        super().__init__()
        self.secs, self.count = secs, count

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "a pause has an end"
        self.secs.append(timeout)
        if len(self.secs) == self.count:
            self.set()
        return self.is_set()


def test_after_a_load_and_while_more_waits_it_goes_on_and_a_long_look_is_rested_from_for_half_of_fresh_secs_at_most(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Seconds that each look takes, and updates that it merges: a load, a full look, a short one, a long one, one of a moment.
    looks = [(40.0, 5), (3.0, BATCH_ROWS), (0.5, 5), (4.0, BATCH_ROWS - 1), (0.1, 0)]
    now = [0.0]

    class Slow(Following):
        opened: ClassVar[list[Following]] = []
        errors: ClassVar[list[Exception | None]] = []

        def follow(self) -> int:
            secs, updates = looks[len(waits)]
            now[0] += secs
            self.as_of = NOON
            return updates

        def count_endpoints(self) -> int:
            return 1

    waits: list[float] = []
    monkeypatch.setattr(module, "EndpointFollower", Slow)
    settings = load_settings(home=tmp_path, api_endpoints_refresh_secs=1, api_endpoints_fresh_secs=8)
    index = EndpointIndex(settings, ApiMetrics(CollectorRegistry()), lambda: now[0])
    index._is_closed = Waits(waits, len(looks))
    index.start()
    index._thread.join(30)
    assert waits == [0, 0, 1.5, 4, 1]


def test_whoever_reads_while_a_table_is_given_up_is_told_that_it_is_being_loaded_and_asks_no_table_that_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reader saw the moment of the old table; the new one is there, and empty: it would say that there is no such endpoint."""

    class Loading(Following):
        opened: ClassVar[list[Following]] = []
        errors: ClassVar[list[Exception | None]] = []

        def follow(self) -> int:
            if len(self.opened) > 1:
                is_anew.set()
                may_end.wait(30)
                return 0
            if self.as_of is not None:
                raise duckdb.FatalException("database has been invalidated")
            return super().follow()

    is_anew, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(module, "EndpointFollower", Loading)
    index = EndpointIndex(load_settings(home=tmp_path, api_endpoints_refresh_secs=0.01), ApiMetrics(CollectorRegistry()))
    index.start()
    assert is_anew.wait(30)
    assert index.as_of is None
    with pytest.raises(NotLoadedError):
        asyncio.run(index.find_endpoint("shop", "phone-1"))
    may_end.set()
    index.close(10)


def test_reader_of_a_table_that_has_no_cursor_gives_up_and_closing_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_CURSOR_SECS_MAX", 0.05)
    Following.opened = []
    table = LoadedTable(cast(EndpointFollower, Following(None)))
    with ExitStack() as held:
        for _ in range(READERS):
            held.enter_context(table.cursor())
        with pytest.raises(NotLoadedError), table.cursor():
            pass
    with table.cursor() as cursor:
        assert cursor.execute("select 1").fetchall() == [(1,)]


@pytest.mark.parametrize("part", ["open_table", "EndpointStates"])
def test_table_that_cannot_be_made_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, settings: Settings, part: str) -> None:
    def refuse(*_: object) -> None:
        raise duckdb.IOException("no space left")

    monkeypatch.setattr(f"pipeline.endpoints.follow.{part}", refuse)
    for _ in range(2):
        with pytest.raises(duckdb.IOException):
            EndpointFollower(settings)
    assert list((settings.home / "spill").iterdir()) == []
