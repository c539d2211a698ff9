"""The API's own table of endpoints when something breaks: what DuckDB has given up is loaded anew, what is away is tried again."""

import datetime as dt
from pathlib import Path

import duckdb
import pytest
from prometheus_client import CollectorRegistry

from pipeline.api.metrics import ApiMetrics
from pipeline.config import load_settings
from pipeline.endpoints import index as module
from pipeline.endpoints.index import EndpointIndex
from schemas.errors import UnavailableError
from tests.worker_process import wait_until

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


class Following:
    """Stands in for the lake and its merging, which cannot be made to break at will: a table that `errors` come out of, one a call."""

    opened: list["Following"]
    errors: list[Exception | None]

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
