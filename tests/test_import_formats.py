"""Every format gives the same records; a file that is not what its name says is refused, a broken one gives what was whole."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from deltalake import write_deltalake

from pipeline.config import load_settings
from pipeline.imports.event_files import ImportOptions
from pipeline.imports.outcome import Status
from pipeline.imports.run import import_addresses
from schemas.errors import UsageError
from schemas.tables import FOLDER
from tests.archives import Json, build_records, check, seal_rows, sent, stream_record, write_lines

RECORDS = [stream_record(number) for number in range(5)]
LINES = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
RUN_TOGETHER = b"".join(json.dumps(record).encode() for record in RECORDS)


def write_avro(path: Path, records: list[Json], codec: str = "null") -> Path:
    schema = fastavro.parse_schema(json.loads((FOLDER / "stream_record.avsc").read_text()))
    with path.open("wb") as file:
        fastavro.writer(file, schema, records, codec=codec, sync_interval=1)
    return path


def write_parquet(path: Path, records: list[Json]) -> Path:
    """Structs for objects, maps for attributes and metrics."""
    attributes, metrics = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.float64())
    table = pa.Table.from_pylist(
        [{name: value for name, value in record.items() if name not in {"attributes", "metrics"}} for record in records]
    )
    table = table.append_column("attributes", pa.array([list(record["attributes"].items()) for record in records], attributes))
    table = table.append_column("metrics", pa.array([list(record["metrics"].items()) for record in records], metrics))
    pq.write_table(table, path, row_group_size=2)
    return path


WRITERS: dict[str, Callable[[Path], Any]] = {
    "events.ndjson": lambda path: path.write_bytes(LINES),
    "events.jsonl": lambda path: path.write_bytes(LINES),
    "firehose.json": lambda path: path.write_bytes(RUN_TOGETHER),
    "pretty.json": lambda path: path.write_text("\n".join(json.dumps(record, indent=2) for record in RECORDS)),
    "array.json": lambda path: path.write_text(json.dumps(RECORDS)),
    "events.ndjson.gz": lambda path: path.write_bytes(gzip.compress(LINES)),
    "members.json.gz": lambda path: path.write_bytes(gzip.compress(LINES[:1000]) + gzip.compress(LINES[1000:]) + b"\0" * 512),
    "events.ndjson.zst": lambda path: path.write_bytes(zstd.compress(LINES)),
    "frames.json.zst": lambda path: path.write_bytes(zstd.compress(RUN_TOGETHER[:1000]) + zstd.compress(RUN_TOGETHER[1000:])),
    "stream-1-2026-11-23-10-00-00-0b5c": lambda path: path.write_bytes(RUN_TOGETHER),
    "stream-1-2026-11-23-10-00-00-0b5d.gz": lambda path: path.write_bytes(gzip.compress(RUN_TOGETHER)),
    "packed-without-a-name": lambda path: path.write_bytes(gzip.compress(LINES)),
    "events.avro": lambda path: write_avro(path, RECORDS),
    "deflated.avro": lambda path: write_avro(path, RECORDS, "deflate"),
    "zstandard.avro": lambda path: write_avro(path, RECORDS, "zstandard"),
    "snappy.avro": lambda path: write_avro(path, RECORDS, "snappy"),
    "events.parquet": lambda path: write_parquet(path, RECORDS),
    "part-0.snappy.parquet": lambda path: write_parquet(path, RECORDS),
    "parquet-without-a-name": lambda path: write_parquet(path, RECORDS),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_format_gives_the_same_records(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found = build_records(tmp_path / name)
    assert [without_nulls(value) for _, value in found] == [sent(number, name) for number in range(1, 6)]
    assert [key for key, _ in found] == [f"shop/endpoint-{number}" for number in range(5)]


def without_nulls(value: Any) -> Any:
    """Avro writes every field of its schema."""
    return {name: without_nulls(inner) for name, inner in value.items() if inner is not None} if isinstance(value, dict) else value


def test_a_stream_record_travels_byte_for_byte_but_for_its_id_and_source(tmp_path: Path) -> None:
    line = '{ "event_type":"a", "event_timestamp":1767225600000,"application":{"app_id":"Shop"},"metrics":{"p":1.10,"q":1e400,"n":12345678901234567890123}}'
    found = records_of(tmp_path, line)
    assert found == [("shop/hash/1", '{"event_id":"hash/1","headwater":{"source":"import:x.json"},' + line[2:])]


def records_of(tmp_path: Path, text: str, app_id: str | None = None) -> list[tuple[str, str]]:
    """Key and value, as text, of what would be sent for NDJSON."""
    path = tmp_path / "x.json"
    path.write_text(text)
    return [(sealed.key.decode(), sealed.value.decode()) for sealed in seal_rows(path, app_id=app_id)]


BASE = '"event_type":"a","event_timestamp":1767225600000,"application":{"app_id":"shop"}'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Its own id stays.
        ('{"event_id":"mine",' + BASE + "}", '{"headwater":{"source":"import:x.json"},"event_id":"mine",' + BASE + "}"),
        ('{"event_id":17,' + BASE + "}", '{"headwater":{"source":"import:x.json"},"event_id":17,' + BASE + "}"),
        # An id that is none gets replaced.
        ('{"event_id":"",' + BASE + "}", '{"event_id":"hash/1",' + BASE + ',"headwater":{"source":"import:x.json"}}'),
        ('{"event_id":null,' + BASE + "}", '{"event_id":"hash/1",' + BASE + ',"headwater":{"source":"import:x.json"}}'),
        # What the collector knew stays; who wrote the record is new.
        (
            '{"event_id":"mine",' + BASE + ',"headwater":{"client_ip":"192.0.2.1","source":"api"}}',
            '{"event_id":"mine",' + BASE + ',"headwater":{"client_ip":"192.0.2.1","source":"import:x.json"}}',
        ),
    ],
)
def test_only_id_and_source_change_in_a_stream_record(line: str, expected: str, tmp_path: Path) -> None:
    assert records_of(tmp_path, line)[0][1] == expected


def test_app_is_given_to_rows_that_name_none_and_to_no_other(tmp_path: Path) -> None:
    text = '{"event_type":"a","event_timestamp":1767225600000}\n{' + BASE + "}\n"
    found = records_of(tmp_path, text, app_id="given")
    assert [key for key, _ in found] == ["given/hash/1", "shop/hash/2"]
    assert json.loads(found[0][1])["application"] == {"app_id": "given"}


def test_a_stream_record_with_odd_types_or_unknown_names_is_sent_as_it_is(tmp_path: Path) -> None:
    lines = ['{"more":[1],' + BASE + "}", '{"client":{"client_id":7},' + BASE + "}", '{"client":"x",' + BASE.replace("00,", "00.0,") + "}"]
    found = records_of(tmp_path, "\n".join(lines))
    assert [key for key, _ in found] == ["shop/hash/1", "shop/7", "shop/hash/3"]
    assert [value.partition("},")[2] for _, value in found] == [line[1:] for line in lines]
    assert check(tmp_path / "x.json", tmp_path).unmapped == {"more": 1}


def test_two_equal_rows_get_two_ids_and_every_run_gives_the_same(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.ndjson", [RECORDS[0], RECORDS[0]])
    ids = [value["event_id"] for _, value in build_records(path)]
    assert ids == ["hash/1", "hash/2"]
    assert ids == [value["event_id"] for _, value in build_records(path)]


def test_columns_of_the_glue_table_all_events_become_stream_records(tmp_path: Path) -> None:
    text_map = pa.map_(pa.string(), pa.string())
    send = pa.struct([("reporting_mta", pa.string())])
    mail_event = pa.struct(
        [("mail", pa.struct([("message_id", pa.string()), ("destination", pa.list_(pa.string()))])), ("send", send), ("click", send)]
    )
    schema = pa.schema(
        [
            ("event_type", pa.string()),
            ("event_timestamp", pa.int64()),
            ("arrival_timestamp", pa.int64()),
            ("event_version", pa.string()),
            ("application", pa.struct([("app_id", pa.string()), ("sdk", text_map)])),
            ("client", pa.struct([("client_id", pa.string()), ("cognito_id", pa.string())])),
            ("device", pa.struct([("platform", text_map)])),
            ("session", text_map),
            ("attributes", text_map),
            ("client_context", pa.struct([("custom", text_map)])),
            ("awsaccountid", pa.string()),
            ("facets", pa.struct([("email_channel", pa.struct([("mail_event", mail_event)]))])),
            ("metrics", pa.struct([("price_in_millicents_usd", pa.float64())])),
            ("ingest_timestamp", pa.timestamp("ms")),
        ]
    )
    row = {
        "event_type": "_email.send",
        "event_timestamp": 1767225600000,
        "application": {"app_id": "shop", "sdk": []},
        "client": {"client_id": "e1", "cognito_id": None},
        "device": {"platform": []},
        "session": [("session_id", "s1"), ("start_timestamp", "1767225300000")],
        "attributes": [("campaign_id", "c1")],
        "client_context": {"custom": [("endpoint", '{"User":{"UserId":"u1"}}')]},
        "awsaccountid": "111122223333",
        "facets": {
            "email_channel": {"mail_event": {"mail": {"message_id": "m1", "destination": ["r@example.com"]}, "send": {}, "click": None}}
        },
        "metrics": {"price_in_millicents_usd": None},
        "ingest_timestamp": 1767225600000,
    }
    pq.write_table(pa.Table.from_pylist([row], schema=schema), tmp_path / "x.parquet")
    ((key, value),) = build_records(tmp_path / "x.parquet")
    assert key == "shop/e1"
    assert value == {
        "event_id": "hash/1",
        "event_type": "_email.send",
        "event_timestamp": 1767225600000,
        "application": {"app_id": "shop", "sdk": {}},
        "client": {"client_id": "e1"},
        "device": {"platform": {}},
        "session": {"session_id": "s1", "start_timestamp": 1767225300000},
        "attributes": {"campaign_id": "c1"},
        "client_context": {"custom": {"endpoint": '{"User":{"UserId":"u1"}}'}},
        "awsAccountId": "111122223333",
        "facets": {"email_channel": {"mail_event": {"mail": {"message_id": "m1", "destination": ["r@example.com"]}, "send": {}}}},
        "metrics": {},
        "ingest_timestamp": 1767225600000,
        "headwater": {"source": "import:x.parquet"},
    }
    assert check(tmp_path / "x.parquet", tmp_path).unmapped == {"ingest_timestamp": 1}


def test_not_a_number_in_a_metric_costs_no_event(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [stream_record(0, metrics={"a": float("nan"), "b": 2.0})])
    assert build_records(tmp_path / "x.parquet")[0][1]["metrics"] == {"a": "nan", "b": 2.0}


BAD_FILES: list[tuple[str, bytes, list[str]]] = [
    ("x.json.gz", LINES, ["expected gzip", "begins with"]),
    ("x.json.zst", gzip.compress(LINES), ["expected zstd", "it is gzip"]),
    ("x.parquet", LINES, ["expected parquet"]),
    ("x.avro", LINES, ["expected avro"]),
    ("x.parquet", b"", ["expected parquet", "empty"]),
    ("x.gz", b"", ["expected gzip", "empty"]),
    ("x.json", gzip.compress(LINES), ["expected json", "it is gzip"]),
    ("x.json", b"PAR1 and more", ["expected json", "it is parquet"]),
    ("x.json", b"<html>\n<body>not found</body>", ["expected JSON", "<html>"]),
    ("x.json", LINES.decode().encode("utf-16"), ["UTF-16", "iconv"]),
    ("x.json.snappy", LINES, ["Snappy", "unpack"]),
    ("x.zip", b"PK\x03\x04 and more", ["ZIP", "unpack"]),
    ("x.avro.gz", gzip.compress(b"Obj\x01 and more"), ["avro", "unpack"]),
    ("x.csv", b"a,b\n1,2\n", ["CSV", "--mapping"]),
    ("x", b"\x00\x01\x02\x03 nothing", ["neither JSON", "--mapping"]),
    ("x.avro", b"Obj\x01" + b"\xff" * 100, ["cannot be read as Avro"]),
    ("x.parquet", b"PAR1" + b"\x00" * 100, ["footer"]),
]


@pytest.mark.parametrize(("name", "content", "said"), BAD_FILES, ids=[f"{name}-{number}" for number, (name, _, _) in enumerate(BAD_FILES)])
def test_a_file_that_is_not_what_its_name_says_is_refused(name: str, content: bytes, said: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    outcome = check(tmp_path / name, tmp_path)
    assert (outcome.status, outcome.rows) == (Status.FAILED, 0)
    assert not outcome.is_well
    for part in [str(tmp_path / name), *said]:
        assert part in outcome.message


def test_columns_that_show_no_known_shape_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"eventtype": ["a"], "event_timestamp": [1]}), tmp_path / "x.parquet")
    message = check(tmp_path / "x.parquet", tmp_path).message
    assert "'event_type' is missing (did you mean 'eventtype'?)" in message
    assert "--mapping" in message


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("is_cut_in_middle", [True, False], ids=["in the middle", "in the last bytes"])
def test_a_packed_file_that_is_cut_off_gives_what_was_whole(pack: Callable[[bytes], bytes], is_cut_in_middle: bool, tmp_path: Path) -> None:
    # Ids that do not compress, so that the cut leaves some rows whole.
    lines = b"".join(json.dumps(stream_record(number, event_id=os.urandom(200).hex())).encode() + b"\n" for number in range(3000))
    packed = pack(lines)
    path = tmp_path / ("x.ndjson.gz" if pack is gzip.compress else "x.ndjson.zst")
    path.write_bytes(packed[: len(packed) // 2] if is_cut_in_middle else packed[:-1])
    outcome = check(path, tmp_path)
    assert outcome.status == Status.BROKEN
    assert "cut off" in outcome.message
    # The last block of zstd holds some rows; gzip gives every byte that it has.
    assert (500 if is_cut_in_middle else 2500) < outcome.rows < 3000 + (pack is gzip.compress)
    assert outcome.rejected == 0


def test_a_packed_file_with_a_flipped_bit_is_not_taken_for_whole(tmp_path: Path) -> None:
    for name, packed in (
        ("x.json.gz", gzip.compress(LINES)),
        ("x.json.zst", zstd.compress(LINES, options={zstd.CompressionParameter.checksum_flag: 1})),
    ):
        for place in (len(packed) // 3, len(packed) - 2):
            (tmp_path / name).write_bytes(packed[:place] + bytes([packed[place] ^ 64]) + packed[place + 1 :])
            outcome = check(tmp_path / name, tmp_path)
            assert outcome.status == Status.BROKEN, (name, place)
            assert "damaged" in outcome.message


def test_something_else_after_the_packed_stream_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(LINES) + b"more")
    outcome = check(tmp_path / "x.json.gz", tmp_path)
    assert (outcome.status, outcome.rows) == (Status.BROKEN, 5)


def test_an_avro_file_cut_anywhere_gives_its_whole_rows_or_none_and_never_wrong_ones(tmp_path: Path) -> None:
    whole = write_avro(tmp_path / "whole.avro", RECORDS).read_bytes()
    for place in range(20, len(whole), 7):
        (tmp_path / "x.avro").write_bytes(whole[:place])
        outcome = check(tmp_path / "x.avro", tmp_path)
        assert outcome.status in {Status.BROKEN, Status.FAILED, Status.CHECKED}, place
        # Avro has no end mark: a file cut exactly between two of its blocks is a whole, shorter file.
        assert outcome.rows <= 4 or outcome.status != Status.CHECKED
        assert outcome.rejected == 0


def test_a_parquet_file_without_its_end_gives_nothing_and_says_so(tmp_path: Path) -> None:
    whole = write_parquet(tmp_path / "whole.parquet", RECORDS).read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[:-10])
    outcome = check(tmp_path / "x.parquet", tmp_path)
    assert (outcome.status, outcome.rows) == (Status.FAILED, 0)
    assert "footer" in outcome.message


def test_a_parquet_file_with_a_damaged_page_gives_the_rows_before(tmp_path: Path) -> None:
    table = pa.table(
        {"event_type": ["a"] * 9000, "event_timestamp": range(9000), "app_id": ["shop"] * 9000, "event_id": [str(n) for n in range(9000)]}
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=3000, use_dictionary=False, compression="zstd")
    whole = bytearray((tmp_path / "x.parquet").read_bytes())
    offset = pq.read_metadata(tmp_path / "x.parquet").row_group(2).column(3).data_page_offset
    whole[offset : offset + 400] = b"\xff" * 400
    (tmp_path / "x.parquet").write_bytes(bytes(whole))
    outcome = check(tmp_path / "x.parquet", tmp_path)
    assert outcome.status == Status.BROKEN
    assert 4000 <= outcome.rows <= 6000
    assert "damaged" in outcome.message


def test_bad_rows_are_named_with_line_field_value_and_reason(tmp_path: Path) -> None:
    lines = [
        json.dumps(RECORDS[0]),
        "{bad}",
        json.dumps(RECORDS[1] | {"event_timestamp": "2026-01-01"}),
        json.dumps({name: value for name, value in RECORDS[2].items() if name != "event_type"}),
        json.dumps(RECORDS[3] | {"application": {}}),
        '{"headwater":{},"event_id":"","event_id":"b",' + BASE + "}",
        json.dumps(RECORDS[4]),
    ]
    (tmp_path / "x.ndjson").write_text("\n".join(lines))
    outcome = check(tmp_path / "x.ndjson", tmp_path)
    assert (outcome.status, outcome.rows, outcome.rejected, outcome.is_well) == (Status.CHECKED, 7, 5, False)
    assert outcome.rejected_file is not None
    rejected = [json.loads(line) for line in Path(outcome.rejected_file).read_text().splitlines()]
    assert [(row["row"], row["line"], row["field"], row["value"]) for row in rejected] == [
        (2, 2, None, "{bad}"),
        (3, 3, "event_timestamp", "2026-01-01"),
        (4, 4, "event_type", None),
        (5, 5, "app_id", None),
        (6, 6, "event_id", None),
    ]
    assert all("expected" in row["reason"] for row in rejected)


def test_a_folder_gives_its_files_and_names_the_strangers(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    (folder / "2026" / "11").mkdir(parents=True)
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden.json").write_bytes(LINES)
    (folder / "README.md").write_text("about these files")
    write_lines(folder / "2026" / "a.json", RECORDS)
    (folder / "2026" / "11" / "stream-1-2026").write_bytes(RUN_TOGETHER)
    outcomes = import_addresses(load_settings(home=tmp_path / "home"), [str(folder)], ImportOptions(is_dry_run=True))
    assert [(Path(outcome.file).name, str(outcome.status), outcome.rows) for outcome in outcomes] == [
        ("stream-1-2026", "checked", 5),
        ("a.json", "checked", 5),
        ("README.md", "ignored", 0),
    ]


def test_the_folder_of_a_delta_table_gives_its_present_files_only(tmp_path: Path) -> None:
    def table(ids: list[str]) -> pa.Table:
        return (
            pa.table({"event_id": ids, "event_type": "a", "event_timestamp": [1767225600000] * len(ids), "app_id": "shop"}) if ids else None
        )

    rows = [{"event_id": name, "event_type": "a", "event_timestamp": 1767225600000, "app_id": "shop"} for name in "abc"]
    write_deltalake(tmp_path / "events", pa.Table.from_pylist(rows))
    write_deltalake(tmp_path / "events", pa.Table.from_pylist(rows[:2]), mode="overwrite")
    outcomes = import_addresses(load_settings(home=tmp_path / "home"), [str(tmp_path / "events")], ImportOptions(is_dry_run=True))
    assert [outcome.rows for outcome in outcomes] == [2]


def test_an_address_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere' is not there; expected a file, a folder or an s3:// address"):
        check(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(("policy", "left_out"), [("keep", 0), ("one", 3)])
def test_identical_rows_are_counted_and_kept_or_left_out(policy: str, left_out: int, tmp_path: Path) -> None:
    # Near and far from each other: within a batch, and many batches later.
    records = [RECORDS[0], RECORDS[0], *(stream_record(number) for number in range(10, 5000)), RECORDS[0], stream_record(10)]
    outcome = check(write_lines(tmp_path / "x.ndjson", records), tmp_path, identical_rows=policy)
    assert (outcome.rows, outcome.identical, outcome.left_out) == (len(records), 3, left_out)
