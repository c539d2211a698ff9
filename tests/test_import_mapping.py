"""A mapping says which column is which field; what it names must be there, and every mistake names itself and the nearest right name."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.imports.fields import PLACES
from pipeline.imports.mapping import Mapping
from pipeline.imports.mapping_file import load_mapping, require_fields
from pipeline.imports.outcome import Status
from pipeline.imports.shapes import stream_record_from_events
from pipeline.imports.times import parse_time
from schemas.errors import UsageError
from schemas.records import PARSED
from schemas.tables import load_table
from tests.archives import Json, build_records, check

SHOP = """
[fields]
event_type = "what"
event_timestamp = {column = "when", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin"}
app_id = {constant = "shop"}
endpoint_id = "device"
user_id = "person"

[attributes]
sku = "sku"
_currency = {constant = "EUR"}

[metrics]
_item_price = "price"

[csv]
separator = ";"
decimal = ","
"""
SHOP_CSV = (
    'what;when;device;person;sku;price;note\nsale;01.07.2026 12:30;D1;p1;A1;1.234,50;"two\nlines"\n"sale; big";01.01.2026 12:30;;p2;;3;\n'
)


def mapping(tmp_path: Path, text: str = SHOP, **parts: str) -> Mapping:
    """A mapping file's mapping; `parts` replace some text of it."""
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return load_mapping(path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_csv_row_becomes_a_stream_record_by_its_mapping(tmp_path: Path) -> None:
    found = build_records(write(tmp_path / "x.csv", SHOP_CSV), mapping(tmp_path))
    assert found == [
        (
            "shop/d1",
            {
                "event_id": "hash/1",
                "event_type": "sale",
                "event_timestamp": 1782901800000,
                "application": {"app_id": "shop"},
                "client": {"client_id": "D1"},
                "client_context": {"custom": {"endpoint": '{"User":{"UserId":"p1"}}'}},
                "attributes": {"sku": "A1", "_currency": "EUR"},
                "metrics": {"_item_price": 1234.5},
                "unmapped": {"note": "two\nlines"},
                "headwater": {"source": "import:x.csv"},
            },
        ),
        (
            # Winter, another offset; without a device the key is the event's id; empty cells are no values.
            "shop/hash/2",
            {
                "event_id": "hash/2",
                "event_type": "sale; big",
                "event_timestamp": 1767267000000,
                "application": {"app_id": "shop"},
                "client_context": {"custom": {"endpoint": '{"User":{"UserId":"p2"}}'}},
                "attributes": {"_currency": "EUR"},
                "metrics": {"_item_price": 3.0},
                "headwater": {"source": "import:x.csv"},
            },
        ),
    ]


@pytest.mark.parametrize(
    ("unmapped", "expected"),
    [("extra", {"unmapped": {"note": "n"}}), ("attributes", {"attributes": {"_currency": "EUR", "note": "n"}}), ("ignore", {})],
)
def test_columns_that_the_mapping_does_not_name_go_where_it_says_and_are_reported(unmapped: str, expected: Json, tmp_path: Path) -> None:
    text = f'unmapped = "{unmapped}"\n' + SHOP.replace('sku = "sku"\n', "").replace('_item_price = "price"\n', "").replace(
        'user_id = "person"\n', ""
    )
    path = write(tmp_path / "x.csv", "what;when;device;note\nsale;01.07.2026 12:30;D1;n\n")
    ((_, record),) = build_records(path, mapping(tmp_path, text))
    always = {"event_id", "event_type", "event_timestamp", "application", "client", "headwater"}
    assert {name: value for name, value in record.items() if name not in always} == {"attributes": {"_currency": "EUR"}} | expected
    assert check(path, tmp_path, mapping=mapping(tmp_path, text)).unmapped == {"note": 1}


def test_ndjson_and_parquet_map_by_columns_and_by_paths(tmp_path: Path) -> None:
    text = """
    [fields]
    event_type = "type"
    event_timestamp = {column = "at.secs", format = "s"}
    app_id = "app"
    [metrics]
    total = "sum"
    """
    row = {"type": "sale", "at": {"secs": 1767225600}, "app": "shop", "sum": 5}
    expected = {"event_type": "sale", "event_timestamp": 1767225600000, "application": {"app_id": "shop"}, "metrics": {"total": 5}}
    write(tmp_path / "x.ndjson", json.dumps(row))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    for name in ("x.ndjson", "x.parquet"):
        ((_, record),) = build_records(tmp_path / name, mapping(tmp_path, text))
        assert record == expected | {"event_id": "hash/1", "headwater": {"source": f"import:{name}"}}


def test_app_of_the_command_wins_over_the_mapping(tmp_path: Path) -> None:
    found = build_records(write(tmp_path / "x.csv", SHOP_CSV), mapping(tmp_path), app_id="other")
    assert {record["application"]["app_id"] for _, record in found} == {"other"}


BAD_MAPPINGS = [
    ("event_type =", "event_tpye =", ["unknown field 'event_tpye'", "did you mean 'event_type'?"]),
    ('endpoint_id = "device"', 'source = "device"', ["unknown field 'source'"]),
    ("[metrics]", "[metric]", ["part has the unknown name 'metric'", "did you mean 'metrics'?"]),
    ("zone = ", "zoen = ", ["[fields] event_timestamp", "'zoen'", "did you mean 'zone'?"]),
    ("Europe/Berlin", "Europe/Berln", ["zone is 'Europe/Berln'", "did you mean 'Europe/Berlin'?"]),
    ('separator = ";"', 'separator = ";;"', ["separator is ';;'", "one character"]),
    ('separator = ";"', 'encoding = "utf-9"', ["encoding is 'utf-9'"]),
    ('decimal = ","', 'decimal = "x"', ["decimal is 'x'"]),
    ('endpoint_id = "device"', 'endpoint_id = {column = "a", format = "s"}', ["field 'endpoint_id' has a format", "for times only"]),
    ('endpoint_id = "device"', "endpoint_id = 7", ["endpoint_id is 7", "expected a column"]),
    ('endpoint_id = "device"', 'endpoint_id = {column = "a", constant = "b"}', ["endpoint_id is", "expected a column"]),
    ("[fields]", 'unmapped = "drop"\n[fields]', ["unmapped is 'drop'", "'extra'"]),
    ("[fields]", "[fields", ["is not TOML", "line 2"]),
]


@pytest.mark.parametrize(("old", "new", "said"), BAD_MAPPINGS, ids=[new for _, new, _ in BAD_MAPPINGS])
def test_a_mistake_in_a_mapping_names_itself(old: str, new: str, said: list[str], tmp_path: Path) -> None:
    assert old in SHOP
    with pytest.raises(UsageError) as caught:
        mapping(tmp_path, SHOP.replace(old, new, 1))
    for part in [str(tmp_path / "mapping.toml"), *said]:
        assert part in str(caught.value)


def test_a_mapping_without_a_field_that_every_event_needs_is_wrong_use(tmp_path: Path) -> None:
    found = mapping(tmp_path, SHOP.replace('app_id = {constant = "shop"}\n', ""))
    with pytest.raises(UsageError, match="lacks the field 'app_id'"):
        require_fields(found, None)
    require_fields(found, "shop")


def test_a_column_that_the_file_lacks_is_named_with_the_nearest(tmp_path: Path) -> None:
    outcome = check(write(tmp_path / "x.csv", SHOP_CSV.replace("device", "devise", 1)), tmp_path, mapping=mapping(tmp_path))
    assert outcome.status == Status.FAILED
    assert "no column 'device' (did you mean 'devise'?)" in outcome.message
    row = {"what": "sale", "when": "01.07.2026 12:30", "devise": "d", "person": "p", "sku": "s", "price": "1"}
    outcome = check(write(tmp_path / "x.ndjson", json.dumps(row)), tmp_path, mapping=mapping(tmp_path))
    assert "no column 'device' (did you mean 'devise'?)" in outcome.message


def test_rows_that_do_not_fit_are_rejected_one_by_one(tmp_path: Path) -> None:
    rows = [
        "sale;01.07.2026 12:30;D1;p1;A1;1;n",
        "sale;2026-07-01;D1;p1;A1;1;n",
        "sale;01.07.2026 12:30;D1;p1;A1;cheap;n",
        ";01.07.2026 12:30;D1;p1;A1;1;n",
        "sale;01.07.2026 12:30;D1",
        "sale;01.07.2026 12:30;D\xfc;p1;A1;1;n",
    ]
    path = tmp_path / "x.csv"
    path.write_bytes(("what;when;device;person;sku;price;note\n" + "\n".join(rows)).encode("latin-1"))
    outcome = check(path, tmp_path, mapping=mapping(tmp_path))
    assert (outcome.rows, outcome.rejected) == (6, 5)
    rejected = [json.loads(line) for line in Path(str(outcome.rejected_file)).read_text().splitlines()]
    assert [(row["line"], row["field"], row["value"]) for row in rejected] == [
        (3, "event_timestamp", "2026-07-01"),
        (4, "_item_price", "cheap"),
        (5, "event_type", None),
        (6, None, "['sale', '01.07.2026 12:30', 'D1']"),
        (7, "device", "D\\xfc"),
    ]
    assert "'%d.%m.%Y %H:%M'" in rejected[0]["reason"]
    # The same file, its encoding told.
    told = mapping(tmp_path, SHOP.replace("[csv]", '[csv]\nencoding = "latin-1"'))
    assert check(path, tmp_path, mapping=told).rejected == 4


@pytest.mark.parametrize(
    ("value", "time_format", "zone", "expected"),
    [
        (1767225600000, None, "UTC", 1767225600000),
        ("1767225600", "s", "UTC", 1767225600000),
        (1767225600.1234, "s", "UTC", 1767225600123),
        ("1767225600123456", "us", "UTC", 1767225600123),
        (1767225600123456789, "ns", "UTC", 1767225600123),
        ("2026-01-01", None, "UTC", 1767225600000),
        ("2026-01-01T00:00:00.123Z", None, "Europe/Berlin", 1767225600123),
        ("2026-01-01 01:00:00+01:00", None, "UTC", 1767225600000),
        ("2026-01-01T01:00", None, "Europe/Berlin", 1767225600000),
        ("20260101", "%Y%m%d", "UTC", 1767225600000),
        # Clocks go back: the first of the two moments.
        ("2026-10-25T02:30", None, "Europe/Berlin", 1792888200000),
        ("1900-01-01", None, "UTC", -2208988800000),
    ],
)
def test_times_in_every_spelling_are_milliseconds(value: Any, time_format: str | None, zone: str, expected: int) -> None:
    assert parse_time(value, time_format, zone) == expected


NO_TIMES: list[tuple[Any, str | None]] = [
    ("yesterday", None),
    ("1899-12-31", None),
    (None, None),
    (True, None),
    ([], None),
    (float("inf"), None),
    ("1", "%Y%m%d"),
    ("x", "s"),
    ("nan", "s"),
    (1767225600000, "s"),
]


@pytest.mark.parametrize(("value", "time_format"), NO_TIMES)
def test_what_is_no_time_is_said_with_what_was_expected(value: Any, time_format: str | None) -> None:
    with pytest.raises(ValueError, match=r"time|number"):
        parse_time(value, time_format)


def test_every_field_of_a_stream_record_can_be_mapped() -> None:
    own = {field.name for field in PARSED if not field.name.startswith("_")} - {"attributes", "metrics", "extra"}
    assert set(PLACES) == own


def test_a_row_of_table_events_goes_back_to_the_stream_record_that_it_came_from(tmp_path: Path) -> None:
    row: Json = dict.fromkeys(load_table("events").column_names)
    row |= {
        "event_id": "e1",
        "event_type": "sale",
        "event_timestamp": 1767225600000,
        "app_id": "shop",
        "endpoint_id": "d1",
        "locale": "en_US",
        "language": "en",
        "country": "US",
        "platform": "ios",
        "user_id": "u1",
        "campaign_id": "c1",
        "attributes": {"campaign_id": "c1", "none": None},
        "metrics": {"price": 2.5},
        "endpoint": '{"User":{"UserId":"u1"}}',
        "facets": '{"email_channel":{}}',
        "client_ip": "192.0.2.1",
        "source": "api",
        "extra": '{"application":{"more":1},"new":[2],"metrics":{"odd":"x"}}',
        "_offset": 7,
        "attribute_store": "s1",
        "mine": "kept",
    }
    record = stream_record_from_events(row, None)
    assert record == {
        "event_id": "e1",
        "event_type": "sale",
        "event_timestamp": 1767225600000,
        "application": {"app_id": "shop", "more": 1},
        "client": {"client_id": "d1"},
        "device": {"locale": {"code": "en_US", "language": "en", "country": "US"}, "platform": {"name": "ios"}},
        "attributes": {"campaign_id": "c1", "none": None},
        "metrics": {"price": 2.5, "odd": "x"},
        "client_context": {"custom": {"endpoint": '{"User":{"UserId":"u1"}}'}},
        "facets": {"email_channel": {}},
        "headwater": {"client_ip": "192.0.2.1", "source": "api"},
        "new": [2],
        "mine": "kept",
    }
