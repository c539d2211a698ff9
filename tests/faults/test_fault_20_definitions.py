"""Row 20: the database of definitions is locked by another: changes wait, and events do not."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from botocore.exceptions import ClientError

from pipeline.config import Settings, load_settings
from pipeline.definitions import sqlite
from pipeline.definitions.apps import create_app
from pipeline.definitions.database import changing, opened_definitions
from schemas.errors import UnavailableError
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.archives import read_raw_events
from tests.conftest import headwater
from tests.faults.rig.beside import Beside
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.worker_process import wait_until

# For so long a change of the definitions waits for another.
BUSY_SECS_MAX = 15


@contextmanager
def locked_database(path: Path) -> Iterator[None]:
    """SQLite's exclusive lock, held by another process for the time of a `with` block."""
    code = "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None); held.execute('begin exclusive'); print('locked', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield
        finally:
            holder.kill()


class Senders:
    """One that sends PutEvents without end, and notes what was accepted; one that makes apps over HTTP, and notes how long that took and what failed."""

    def __init__(self, api: ApiProcess, key: tuple[str, str]) -> None:
        self.accepted: list[str] = []
        self.refused = 0
        self.create_secs: list[float] = []
        self.create_errors: list[int] = []
        self._api, self._key = api, key
        self._threads = Beside(self._send, self._create)

    def __enter__(self) -> "Senders":
        self._threads.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.stop()

    def wait_for_an_app(self) -> None:
        """Until one more is made, or refused."""
        count = len(self.create_secs)
        wait_until(lambda: len(self.create_secs) > count, "an app is made")

    def _send(self, is_done: threading.Event) -> None:
        pinpoint = client("pinpoint", self._api, self._key)
        while not is_done.wait(0.05):
            ids = [str(uuid.uuid4()) for _ in range(5)]
            events = {event_id: {"EventType": "cart.add", "Timestamp": "2026-01-01T00:00:00.000Z"} for event_id in ids}
            batch = {"phone-1": {"Endpoint": {}, "Events": events}}
            answer = pinpoint.put_events(ApplicationId="shop", EventsRequest={"BatchItem": batch})
            statuses = answer["EventsResponse"]["Results"]["phone-1"]["EventsItemResponse"]
            self.accepted += [event_id for event_id in ids if statuses[event_id]["StatusCode"] == 202]
            self.refused += sum(statuses[event_id]["StatusCode"] != 202 for event_id in ids)

    def _create(self, is_done: threading.Event) -> None:
        pinpoint = client("pinpoint", self._api, self._key)
        while not is_done.wait(0.2):
            began = time.monotonic()
            try:
                pinpoint.create_app(CreateApplicationRequest={"Name": "Another"})
            except ClientError as error:
                self.create_errors.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
            self.create_secs.append(time.monotonic() - began)


@pytest.mark.timeout(600)
def test_fault_20_a_locked_definitions_database_holds_up_changes_and_no_event(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    make_app(settings)
    key, path = make_access_key(settings), sqlite.file_path(settings)
    locked_secs, held_secs = schedule.choose([3.0, 1.0, 1.0], [30.0, 3.0, 3.0, 3.0]), list[float]()
    with serving(ApiProcess(settings, tmp_path)) as api, Senders(api, key) as senders:
        for number, secs in enumerate(locked_secs):
            senders.wait_for_an_app()
            accepted, began = len(senders.accepted), time.monotonic()
            with ThreadPoolExecutor(1) as pool:
                with locked_database(path):
                    created = pool.submit(headwater, settings, "apps", "create", "Shop", "--id", "another") if number == 0 else None
                    wait_until(lambda count=accepted: len(senders.accepted) > count + 20, "events are accepted all the while")  # type: ignore[misc]
                    if number == 1:
                        # Who only reads waits for nobody.
                        listed = headwater(settings, "apps", "list", "--json")
                        assert (listed.returncode, '"shop"' in listed.stdout) == (0, True), listed.stderr
                    time.sleep(max(0.0, began + secs - time.monotonic()))
                held_secs.append(round(time.monotonic() - began, 1))
                if created is not None:
                    done = created.result()
                    is_refused = "database is locked. Another process has been changing it" in done.stderr
                    assert done.returncode == (1 if is_refused else 0), done.stderr
                    assert is_refused == schedule.is_full, done.stderr
            senders.wait_for_an_app()
    sent = {value["event_id"] for _, value in read_raw_events(settings)}
    proof.note(
        injections=len(locked_secs),
        locked_secs=held_secs,
        events_accepted=len(senders.accepted),
        events_refused=senders.refused,
        change_secs_max=max(senders.create_secs),
        changes_refused=len(senders.create_errors),
        lost=len(set(senders.accepted) - sent),
    )
    assert senders.refused == 0
    assert set(senders.accepted) <= sent
    assert set(senders.create_errors) <= {500}
    if max(held_secs) < BUSY_SECS_MAX:
        assert senders.create_errors == []
    assert max(senders.create_secs) > 1


def test_fault_20_a_locked_definitions_database_control(tmp_path: Path, proof: Proof) -> None:
    """A connection that waits for nobody is refused on the spot."""
    settings = load_settings(home=tmp_path / "home")
    with opened_definitions(settings):
        pass
    with (
        mock.patch.object(sqlite, "_BUSY_SECS_MAX", 0),
        opened_definitions(settings) as engine,
        locked_database(sqlite.file_path(settings)),
    ):
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="database is locked"), changing(engine) as connection:
            create_app(connection, "Shop")
        waited_secs = time.monotonic() - began
    proof.show(f"a change is refused after {waited_secs:.2f} s" if waited_secs < 1 else "")
