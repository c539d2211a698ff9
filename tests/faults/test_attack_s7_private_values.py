"""Row S7: private values, seeded into everything that is sent, are nowhere: not in the lake's objects, dead letters, logs or labels."""

import io
import json
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.config import Settings
from pipeline.stores import build_store
from tests.api_process import ApiProcess, make_app, make_write_key, serving
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.stream import rows, send
from tests.test_redact import EVENT
from tests.worker_process import running, wait_until

REDACTED = {"HEADWATER_REDACT_REMOVED": "token", "HEADWATER_REDACT_HASHED": "email,phone,Address,endpoint_id"}


def _seed(schedule: Schedule) -> tuple[str, str, str]:
    """An e-mail address, a phone number and a token that nothing else holds."""
    number = schedule.chance.randrange(10**10)
    return f"person.{number}@private.example", f"+49{number:010}7", f"tok_{number:x}_secret"


def _build_values(secrets: tuple[str, str, str]) -> list[bytes]:
    """Values of records: events, dead letters that can be read, and some that cannot."""
    mail, phone, token = secrets
    private = {"email": mail, "Phone": [phone], "e_mail": {"home": mail}, "TOKEN": token}
    endpoint = json.dumps({"Address": mail, "User": {"UserAttributes": {"phone": [phone]}}, "Attributes": {"token": [token]}})
    documents: list[object] = [
        EVENT | {"event_id": "1", "client": {"client_id": mail}, "attributes": {"email": mail, "nested": json.dumps(json.dumps(private))}},
        EVENT | {"event_id": "2", "client_context": {"custom": {"endpoint": endpoint}}, "facets": {"x": [private]}, "unmapped": private},
        EVENT | {"event_id": "3", "attributes": {"raw": '{"email": "' + mail}},
        {"event_type": 7, "attributes": private},
        [private],
        EVENT | {"event_timestamp": "soon", "client_context": {"custom": {"endpoint": endpoint}}},
        json.dumps(private),
    ]
    whole = [json.dumps(document).encode() for document in documents]
    text = json.dumps(private).encode()
    return [*whole, text[:-1], b"\xff" + text, text * 2, mail.encode(), b'{"email":"%s","email":"%s"}' % (mail.encode(), phone.encode())]


def _send_everything(settings: Settings, api: ApiProcess, secrets: tuple[str, str, str]) -> int:
    """By Kafka, under keys with an address in them, and by the API, which accepts some and refuses some; returns how many rows must come of it."""
    mail, phone, token = secrets
    values = _build_values(secrets)
    send(settings, [(f"shop/{mail}".encode(), value) for value in values])
    good = {"EventType": "cart.add", "Timestamp": "2026-01-01T00:00:00Z", "Attributes": {"email": mail, "Phone": phone, "token": token}}
    bad = good | {"Timestamp": "soon"}
    body = {"BatchItem": {mail: {"Endpoint": {"Address": mail}, "Events": {"4": good, "5": bad}}}}
    request = urllib.request.Request(
        f"{api.url}/v1/apps/shop/events",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {make_write_key(settings)}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
    return len(values) + 2


def _gather(settings: Settings) -> dict[str, bytes]:
    """Every object of the bucket as it lies there and, of Parquet, what it holds, with nothing that could hide a text."""
    store = build_store(settings)
    found = {each.key: store.get(each.key) for each in store.list_objects("")}
    for key, body in [*found.items()]:
        if key.endswith(".parquet"):
            buffer = io.BytesIO()
            pq.write_table(pq.ParquetFile(io.BytesIO(body)).read(), buffer, compression="none", use_dictionary=False)
            found[f"{key}, decoded"] = buffer.getvalue()
    return found


def _find(settings: Settings, tmp_path: Path, schedule: Schedule, **redacted: str) -> tuple[list[str], int]:
    """(places that hold a private value, places looked at) after a worker and the API took all of it in."""
    secrets = _seed(schedule)
    make_app(settings)
    worker, api = FaultWorker(settings, tmp_path), ApiProcess(settings, tmp_path)
    worker.rig |= redacted
    api.rig |= redacted
    with serving(api), running(worker):
        count = _send_everything(settings, api, secrets)
        wait_until(lambda: len(rows(settings)) + len(rows(settings, "dead_letters")) >= count, "all have landed")
        wait_until(lambda: len(rows(settings, "endpoint_updates")) >= 1, "the endpoint has landed")
        places = {
            f"/metrics at {url}": urllib.request.urlopen(url, timeout=10).read()
            for url in (f"http://127.0.0.1:{worker.metrics_port}/metrics", f"{api.url}/metrics")
        }
        assert (worker.stop(), api.stop()) == (0, 0)
    places |= {log.name: log.read_bytes() for log in (worker.log, api.log)} | _gather(settings)
    return [place for place, body in places.items() if any(secret.encode() in body for secret in secrets)], len(places)


def test_attack_s7_private_values_are_in_no_object_log_or_label(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    hits, looked_at = _find(settings, tmp_path, schedule, **REDACTED)
    assert hits == []
    proof.note(injections=15, places_scanned=looked_at, hits=len(hits))


def test_attack_s7_without_redaction_they_are_found_control(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    hits, looked_at = _find(settings, tmp_path, schedule)
    proof.note(injections=15, places_scanned=looked_at)
    proof.show(f"{len(hits)} of {looked_at} places hold a private value" if hits else "")
