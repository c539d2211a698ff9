"""Schemas by id of a registry: found once and kept, and of one that does not answer nothing is decided."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from agents.avro.writer_schema import SchemaError
from agents.event_steps import read_records
from agents.flush_report import FlushReport
from pipeline import schema_registry
from pipeline.config import load_settings
from pipeline.event_stream import build_avro_schemas, build_event_rules
from pipeline.schema_registry import FLUSH_SECS_MAX, MISSES_MAX, MISSING_SECS, SchemaRegistry
from schemas.errors import SettingError, UnavailableError
from tests.avro_records import STREAM_RECORD, as_framed
from tests.schema_registry import Registry, running_registry
from tests.validate_inputs import EVENT, build_records, event


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> Iterator[Registry]:
    with running_registry() as server:
        server.register(7, STREAM_RECORD)
        yield server


def test_values_framed_for_a_registry_land_as_their_json_does(registry: Registry) -> None:
    rules = build_event_rules(load_settings(avro_registry=registry.address + "/"))
    records = build_records([as_framed(EVENT, 7), event(), as_framed(EVENT, 7), as_framed(EVENT, 8)])
    validated = read_records(records, rules, FlushReport()).validated
    one, other, _ = validated.parsed.drop_columns(["_payload_hash", "_offset", "_row"]).to_pylist()
    assert one == other
    (letter,) = validated.dead.to_pylist()
    assert (letter["_offset"], letter["reason"], letter["value"]) == (3, "unknown_schema", as_framed(EVENT, 8))
    assert "id 8" in letter["error"]
    assert registry.address in letter["error"]


def test_schema_is_asked_for_once_and_one_that_there_is_not_again_after_a_while(registry: Registry) -> None:
    clock = Clock()
    client = SchemaRegistry(registry.address, clock=clock)
    for _ in range(3):
        client.begin()
        client.find(7)
        with pytest.raises(SchemaError, match="no schema of it"):
            client.find(8)
    assert registry.asked == ["/schemas/ids/7", "/schemas/ids/8"]
    registry.register(8, STREAM_RECORD)
    clock.now += MISSING_SECS + 1
    client.begin()
    assert client.find(8).schema == client.find(7).schema


def test_control_without_a_memory_of_what_there_is_not_each_value_asks(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "MISSING_SECS", -1.0)
    client = SchemaRegistry(registry.address)
    for _ in range(3):
        with pytest.raises(SchemaError):
            client.find(8)
    assert len(registry.asked) == 3


def test_ids_that_there_are_not_are_asked_for_within_bounds(registry: Registry) -> None:
    client = SchemaRegistry(registry.address)
    client.find(7)
    for _ in range(2):
        registry.asked.clear()
        client.begin()
        for schema_id in range(10_000, 10_000 + 3 * MISSES_MAX):
            with pytest.raises(SchemaError):
                client.find(schema_id)
        assert len(registry.asked) == MISSES_MAX
        # What is known is found all the same.
        client.find(7)


@pytest.mark.parametrize("ill", ["error", "html", "elsewhere", "slow", "drip"])
def test_registry_that_does_not_answer_as_one_decides_nothing(registry: Registry, ill: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_registry, "ANSWER_SECS_MAX", 0.3)
    client = SchemaRegistry(registry.address)
    registry.ill = ill
    with pytest.raises(UnavailableError, match="AVRO_REGISTRY"):
        client.find(7)
    rules = build_event_rules(load_settings(avro_registry=registry.address))
    with pytest.raises(UnavailableError):
        read_records(build_records([event(), as_framed(EVENT, 7)]), rules, FlushReport())
    registry.ill = None
    client.find(7)


def test_registry_that_is_not_there_decides_nothing() -> None:
    with running_registry() as server:
        address = server.address
    with pytest.raises(UnavailableError, match="refused"):
        SchemaRegistry(address).find(7)


def test_login_is_shown_and_one_that_is_refused_is_said() -> None:
    with running_registry(login="us:pass") as server:
        server.register(7, STREAM_RECORD)
        SchemaRegistry(server.address, "us", "pass").find(7)
        for client in (SchemaRegistry(server.address, "us", "other"), SchemaRegistry(server.address)):
            with pytest.raises(UnavailableError, match=r"refuses the login.*HEADWATER_AVRO_REGISTRY_USERNAME"):
                client.find(7)


def test_password_is_not_shown() -> None:
    settings = load_settings(avro_registry="http://127.0.0.1:1", avro_registry_username="us", avro_registry_password="hunter2")
    assert "hunter2" not in repr(settings)
    with pytest.raises(UnavailableError) as error:
        build_avro_schemas(settings).find(b"\0\0\0\0\7")
    assert "hunter2" not in str(error.value)


def test_registry_that_answers_slowly_gives_way_to_others_and_goes_on_where_it_was(registry: Registry) -> None:
    clock = Clock()
    client = SchemaRegistry(registry.address, clock=clock)
    registry.register(8, STREAM_RECORD)
    client.find(7)
    clock.now += FLUSH_SECS_MAX + 1
    with pytest.raises(UnavailableError, match="slowly"):
        client.find(8)
    client.find(7)
    client.begin()
    client.find(8)


@pytest.mark.parametrize("address", ["registry:8081", "ftp://registry", "http://", "http://us:secret@registry"])
def test_address_that_is_none_is_refused_at_start(address: str) -> None:
    with pytest.raises(SettingError, match="'HEADWATER_AVRO_REGISTRY'") as error:
        build_avro_schemas(load_settings(avro_registry=address))
    assert "secret" not in str(error.value)


APPLICATION: dict[str, Any] = {"type": "record", "name": "Application", "namespace": "com.example", "fields": [{"name": "app_id", "type": "string"}]}  # fmt: skip
CLICK: dict[str, Any] = {
    "type": "record",
    "name": "Click",
    "namespace": "com.example",
    "fields": [
        {"name": "event_type", "type": "string"},
        {"name": "event_timestamp", "type": "long"},
        {"name": "application", "type": "Application"},
    ],
}
NAMED = {"name": "com.example.Application", "subject": "application", "version": 3}


def test_schema_that_refers_to_others_is_put_together(registry: Registry) -> None:
    registry.register(9, CLICK, references=[NAMED])
    registry.register_version("application", 3, APPLICATION)
    rules = build_event_rules(load_settings(avro_registry=registry.address))
    whole = json.loads(json.dumps(CLICK))
    whole["fields"][2]["type"] = APPLICATION
    value = as_framed({"event_type": "click", "event_timestamp": 1767225600000, "application": {"app_id": "shop"}}, 9, whole)
    validated = read_records(build_records([value]), rules, FlushReport()).validated
    assert validated.parsed["app_id"].to_pylist() == ["shop"]


def test_schema_that_refers_to_itself_or_to_what_there_is_not_is_of_no_use(registry: Registry) -> None:
    client = SchemaRegistry(registry.address)
    registry.register(9, CLICK, references=[NAMED])
    with pytest.raises(SchemaError, match="not all the schemas that it refers to"):
        client.find(9)
    registry.register(10, CLICK, references=[NAMED])
    registry.register_version("application", 3, CLICK, references=[NAMED])
    with pytest.raises(SchemaError, match="Application"):
        client.find(10)


def test_schema_of_another_kind_or_that_is_none_is_of_no_use(registry: Registry) -> None:
    client = SchemaRegistry(registry.address)
    registry.register(11, {}, schemaType="PROTOBUF")
    registry.register(12, {"type": "record", "name": "R"})
    for schema_id, says in ((11, "type PROTOBUF"), (12, "fields")):
        for _ in range(2):
            with pytest.raises(SchemaError, match=says):
                client.find(schema_id)
    assert len(registry.asked) == 2
