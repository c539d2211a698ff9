"""Files of endpoints, read row by row: every shape that Pinpoint's users have, every way in which they are wrong, and nothing valid lost."""

import csv
import gzip
import io
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.endpoint_rows import validate_updates
from agents.parsing.endpoint_shape import ChannelType, EndpointError, parse_endpoint
from agents.parsing.exact_json import Unreadable
from agents.validate import ValidateRules
from pipeline.config import load_settings
from pipeline.endpoints.files import bounds, cells, delimited, updates
from pipeline.endpoints.files.addresses import check_address
from pipeline.endpoints.files.columns import COLUMNS_MAX
from pipeline.endpoints.files.quick_check import is_surely_sound
from pipeline.endpoints.files.seen_ids import SeenIds, lower_id
from pipeline.endpoints.files.write import CsvWriter, NdjsonWriter
from pipeline.imports.outcome import REASONS_MAX, Status
from pipeline.imports.rows import BrokenFileError, FileError, RowError
from schemas.errors import UsageError
from tests.endpoint_imports import Json, check, read_updates, write
from tests.validate_inputs import build_records

CSV = """Id,Address,ChannelType,OptOut,RequestId,EffectiveDate,EndpointStatus,CreationDate,CohortId,Attributes.interests,Attributes.interests,Attributes.a b.c,Metrics.logins,Demographic.Locale,Demographic.PlatformVersion,Location.Country,Location.Latitude,User.UserId,User.UserAttributes.name
one,a@example.com,EMAIL,ALL,r1,2026-01-01T00:00:00.000Z,INACTIVE,2025-01-01T00:00:00.000Z,42,music,sport,x,1.5,de_DE,17,DE,-52.5,u1,Ann
two,+49123,SMS,,,,,,,,sport,,,,,,,,
"""


def of(update: Json) -> Json:
    endpoint: Json = update["endpoint"]
    return endpoint


def test_a_csv_with_repeated_headers_becomes_updates(tmp_path: Path) -> None:
    found, rejected = read_updates(write(tmp_path / "x.csv", CSV), tmp_path)
    assert rejected == []
    assert [(each["update_id"], each["operation"], each["app_id"], each["endpoint_id"]) for each in found] == [
        ("hash/1", "update", "shop", "one"),
        ("hash/2", "update", "shop", "two"),
    ]
    assert of(found[0]) == {
        "Id": "one",
        "Address": "a@example.com",
        "ChannelType": "EMAIL",
        "OptOut": "ALL",
        "RequestId": "r1",
        "EffectiveDate": "2026-01-01T00:00:00.000Z",
        "EndpointStatus": "INACTIVE",
        "CreationDate": "2025-01-01T00:00:00.000Z",
        "CohortId": "42",
        "Attributes": {"interests": ["music", "sport"], "a b.c": ["x"]},
        "Metrics": {"logins": 1.5},
        "Demographic": {"Locale": "de_DE", "PlatformVersion": "17"},
        "Location": {"Country": "DE", "Latitude": -52.5},
        "User": {"UserId": "u1", "UserAttributes": {"name": ["Ann"]}},
    }
    # What is empty says nothing.
    assert of(found[1]) == {"Id": "two", "Address": "+49123", "ChannelType": "SMS", "Attributes": {"interests": ["sport"]}}


@pytest.mark.parametrize(
    ("name", "pack"), [("x.csv", bytes), ("x.csv.gz", gzip.compress), ("x.csv.zst", zstd.compress), ("x.json.gz", gzip.compress)]
)
def test_line_ends_marks_and_packing_change_nothing(name: str, pack: Any, tmp_path: Path) -> None:
    if name.startswith("x.json"):
        text = '{"Id":"one","Attributes":{"a":["ä"]}}\r\n{"Id":"two"}'
    else:
        text = 'Id,Attributes.a\r\none,"ä"\r\n\r\ntwo,'
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" + text.encode()))
    found, rejected = read_updates(tmp_path / name, tmp_path)
    assert rejected == []
    assert [of(each) for each in found] == [{"Id": "one", "Attributes": {"a": ["ä"]}}, {"Id": "two"}]


def test_ndjson_travels_as_it_is_with_members_that_nobody_knows(tmp_path: Path) -> None:
    lines = ['{"Id": "one", "Metrics": {"m": 1.10}, "New": {"deep": [1.50]}, "Demographic": {"Odd": true}}', '{"Id":"two"}']
    path = write(tmp_path / "part-0.json", "\n".join(lines) + "\n")
    found, rejected = read_updates(path, tmp_path)
    assert rejected == []
    assert of(found[0]) == json.loads(lines[0])
    kind_value = path.read_bytes()
    assert b"1.10" in kind_value


def test_several_objects_on_a_line_and_an_array_are_read_too(tmp_path: Path) -> None:
    for number, text in enumerate(('{"Id":"one"}{"Id":"two"}', '[\n {"Id":\n"one"},\n{"Id":"two"}]')):
        found, rejected = read_updates(write(tmp_path / f"{number}.json", text), tmp_path)
        assert ([each["endpoint_id"] for each in found], rejected) == (["one", "two"], [])


GOOD = ["first,a@example.com,EMAIL", "last,b@example.com,EMAIL"]


@pytest.mark.parametrize(
    ("bad", "field", "value", "reason"),
    [
        ("x,y", None, "x,y", "expected 4 cells, as the header has, found 2"),
        ("x,y,EMAIL,,,", None, "x,y,EMAIL,,,", "expected 4 cells, as the header has, found 6"),
        ("x,y,EMAIL,yesterday", "EffectiveDate", '"yesterday"', "a moment in ISO 8601"),
        ("x,y,FAX,", "ChannelType", '"FAX"', "expected one of PUSH"),
        (",,EMAIL,", "Address", "null", "expected Id, or Address and ChannelType"),
        (",y,,", "ChannelType", "null", "expected Id, or Address and ChannelType"),
        ("FIRST,y,EMAIL,", "Id", "FIRST", "expected each id once in a file; line 2 has it"),
        ('x,"y,EMAIL,', None, 'x,"y,EMAIL,', "is a quote left open there?"),
        ('x,"y"z,EMAIL,', None, 'x,"y"z,EMAIL,', "expected cells of CSV"),
    ],
)
def test_a_bad_row_of_a_csv_is_rejected_alone(bad: str, field: str | None, value: str, reason: str, tmp_path: Path) -> None:
    text = "Id,Address,ChannelType,EffectiveDate\n" + f"{GOOD[0]},\n{bad}\n{GOOD[1]},\n"
    found, rejected = read_updates(write(tmp_path / "x.csv", text), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["first", "last"]
    (only,) = rejected
    assert isinstance(only, tuple)
    assert only[:3] == (3, field, value)
    assert reason in only[3]


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (b'{"Id":"x","EffectiveDate":"2026-13-01"}', "EffectiveDate", "a moment in ISO 8601"),
        (b'{"Id":"FIRST"}', "Id", "line 1 has it"),
        (b'{"Id":7}', "Id", "a text that is not empty"),
        (b'{"Address":"a"}', "ChannelType", "Id, or Address and ChannelType"),
        (b'{"User":{"UserId":"u"}}', "Address", "Id, or Address and ChannelType"),
        (b'{"Id":"x","Attributes":{"a":"b"}}', "Attributes.a", "a list of texts"),
        (b'{"Id":"x","Id":"y"}', None, "each name once"),
        (b'{"Id":"x","Address":"M\xfcller"}', None, "found 0xfc; expected strict UTF-8"),
        (b'{"Id":"x"', None, ""),
        (b"7", None, "expected a JSON object"),
        (b'{"Id":"x","Metrics":{"m":NaN}}', None, "NaN is no JSON number"),
    ],
)
def test_a_bad_line_of_ndjson_is_rejected_alone(bad: bytes, field: str | None, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", b'{"Id":"first"}\n' + bad + b'\n{"Id":"last"}\n')
    found, rejected = read_updates(path, tmp_path)
    assert [each["endpoint_id"] for each in found] == ["first", "last"]
    (only,) = rejected
    assert isinstance(only, tuple)
    assert only[:2] == (2, field)
    assert reason in only[3]


def test_a_row_in_another_encoding_is_rejected_and_says_which_byte(tmp_path: Path) -> None:
    text = "Id,Attributes.city\none,München\ntwo,".encode() + "Köln".encode("latin-1") + b"\nthree,Bonn\n"
    found, rejected = read_updates(write(tmp_path / "x.csv", text), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["one", "three"]
    (only,) = rejected
    assert isinstance(only, tuple)
    assert (only[0], only[2]) == (3, "two,K\\xf6ln")
    assert "expected UTF-8, found byte 0xf6" in only[3]
    with pytest.raises(FileError, match="in its header; expected UTF-8, found byte 0xf6"):
        read_updates(write(tmp_path / "y.csv", "Id,Attributes.größe\n".encode("latin-1")), tmp_path)
    with pytest.raises(FileError, match="is UTF-16; expected UTF-8"):
        read_updates(write(tmp_path / "z.csv", "Id\none\n".encode("utf-16")), tmp_path)


def test_an_open_quote_costs_its_own_line_wherever_it_stands(tmp_path: Path) -> None:
    rows = [f'{number},"a {number}"' for number in range(500)]
    for place in (0, 250, 499):
        lines = [*rows[:place], f'{place},"open', *rows[place + 1 :]]
        found, rejected = read_updates(write(tmp_path / "x.csv", "Id,Attributes.a\n" + "\n".join(lines) + "\n"), tmp_path)
        assert [each["endpoint_id"] for each in found] == [str(number) for number in range(500) if number != place]
        assert [each[0] for each in rejected if isinstance(each, tuple)] == [place + 2]


def count_lines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list whose one number grows with each line that is handed to csv."""
    given, take = [0], delimited._Replayed.__next__

    def counted(self: Any) -> str:
        given[0] += 1
        return take(self)

    monkeypatch.setattr(delimited._Replayed, "__next__", counted)
    return given


def test_quotes_open_from_line_to_line_are_read_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, rows = count_lines(monkeypatch), 600
    path = write(tmp_path / "x.csv", "Id,Attributes.a\n" + 'x","\n' * rows + "last,y\n")
    monkeypatch.setattr(delimited, "ROW_LINES_MAX", 10)
    found, rejected = read_updates(path, tmp_path)
    assert ([each["endpoint_id"] for each in found], len(rejected)) == (["last"], rows)
    assert given[0] <= 11 * (rows + 10)
    # The control: unbounded, every line is read with all that come after it.
    given[0] = 0
    monkeypatch.setattr(delimited, "ROW_LINES_MAX", 10**9)
    read_updates(path, tmp_path)
    assert given[0] > rows * rows / 2


def test_a_header_that_does_not_end_is_refused_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = count_lines(monkeypatch)
    for number, text in enumerate(('Id,"', 'x","', 'Id","')):
        with pytest.raises(FileError, match=r"cannot be read as CSV .a row goes on for more than 100 lines|has a column"):
            read_updates(write(tmp_path / f"{number}.csv", (text + "\n") * 20_000), tmp_path)
    assert given[0] < 5_000


def test_a_row_may_have_a_hundred_lines_and_no_more(tmp_path: Path) -> None:
    for lines, expected in ((100, 0), (101, 101)):
        cell = "\n".join("x" * lines)
        found, rejected = read_updates(write(tmp_path / "x.csv", f'Id,Attributes.a\none,"{cell}"\nlast,y\n'), tmp_path)
        assert [each["endpoint_id"] for each in found] == (["last"] if expected else ["one", "last"])
        assert len(rejected) == expected


def test_a_row_of_several_lines_has_as_many_characters_as_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LINE_CHARS_MAX", 100)
    text = 'Id,Attributes.a\none,"' + ("x" * 30 + "\n") * 3 + '"\ntwo,"' + ("x" * 30 + "\n") * 5 + '"\nlast,y\n'
    found, rejected = read_updates(write(tmp_path / "x.csv", text), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["one", "last"]
    assert "more than 100 lines, or 100 characters" in str(rejected[0])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_the_separator_of_other_countries_is_found_in_the_header(separator: str, tmp_path: Path) -> None:
    lines = ["Id,Address,Attributes.a", 'one,"a@example.com","x"', "two,b,y"]
    for text in ("\n".join(lines), "\n".join(['"Id","Address","Attributes.a"', *lines[1:]])):
        found, rejected = read_updates(write(tmp_path / "x.csv", text.replace(",", separator) + "\n"), tmp_path)
        assert rejected == []
        assert [of(each) for each in found] == [
            {"Id": "one", "Address": "a@example.com", "Attributes": {"a": ["x"]}},
            {"Id": "two", "Address": "b", "Attributes": {"a": ["y"]}},
        ]
    # A name may hold what separates elsewhere, and a misspelt column is named alone.
    found, _ = read_updates(write(tmp_path / "y.csv", f"Attributes.a{separator}b,Id\nx,one\n"), tmp_path)
    assert of(found[0]) == {"Id": "one", "Attributes": {f"a{separator}b": ["x"]}}
    with pytest.raises(FileError, match=r"a column 'Adress' .number 2."):
        read_updates(write(tmp_path / "z.csv", f"Id{separator}Adress\none{separator}a\n"), tmp_path)


def test_lines_that_end_in_a_carriage_return_alone_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="lines that end in a carriage return alone; expected line feeds"):
        read_updates(write(tmp_path / "x.csv", "Id,Address\rone,a\rtwo,b\r"), tmp_path)


def test_a_cell_of_several_lines_is_one_cell(tmp_path: Path) -> None:
    found, rejected = read_updates(write(tmp_path / "x.csv", 'Id,Attributes.a\none,"x\ny,""z"""\ntwo,\n'), tmp_path)
    assert rejected == []
    assert [of(each).get("Attributes") for each in found] == [{"a": ['x\ny,"z"']}, None]


@pytest.mark.parametrize(
    ("name", "whole", "cut"),
    [
        ("x.csv", "Id,Address\none,a\ntwo,b\n", "three"),
        ("x.csv", "Id,Address\none,a\ntwo,b\n", 'three,"b'),
        ("x.json", '{"Id":"one"}\n{"Id":"two"}\n', '{"Id":"thr'),
    ],
)
def test_of_a_file_that_ends_in_mid_row_what_was_whole_is_sent(name: str, whole: str, cut: str, tmp_path: Path) -> None:
    outcome = check(write(tmp_path / name, whole + cut), tmp_path)
    assert (outcome.status, outcome.rows, outcome.rejected) == (Status.BROKEN, 2, 0)
    assert "is cut off" in outcome.message
    # The control: the same file with its last row whole, or without one, is well.
    assert check(write(tmp_path / name, whole), tmp_path).is_well


def test_a_packed_file_that_breaks_off_gives_its_whole_rows(tmp_path: Path) -> None:
    text = "Id,Attributes.a\n" + "".join(f"{number},{number * 7919}\n" for number in range(5000))
    whole = gzip.compress(text.encode())
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) * 2 // 3])
    outcome = check(tmp_path / "x.csv.gz", tmp_path)
    assert outcome.status is Status.BROKEN
    assert 1000 < outcome.rows < 5000
    assert outcome.rejected == 0


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Id,Adress", "a column 'Adress' (number 2), which is none of an endpoint (did you mean 'Address'?)"),
        ("Id,attributes.plan", "did you mean 'Attributes.<name>'?"),
        ("Id,Attributes.", "a column 'Attributes.' (number 2)"),
        ("Id,Demographic.Colour", "a column 'Demographic.Colour'"),
        ("Id,Address,Address", "the column 'Address' twice; expected it once: only attributes have several values"),
        ("Id,Metrics.a,Metrics.a", "the column 'Metrics.a' twice"),
    ],
)
def test_an_unknown_column_refuses_the_file_and_names_the_nearest(header: str, said: str, tmp_path: Path) -> None:
    outcome = check(write(tmp_path / "x.csv", f"{header}\none,x,y\n"), tmp_path)
    assert (outcome.status, outcome.rows) == (Status.FAILED, 0)
    assert said in outcome.message


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.csv.gz", "x.json.gz"])
def test_an_empty_file_says_so(name: str, tmp_path: Path) -> None:
    outcome = check(write(tmp_path / name, ""), tmp_path)
    assert outcome.status is Status.FAILED
    assert "is empty; expected" in outcome.message


@pytest.mark.attack("S4")
def test_a_million_columns_are_refused_in_bounds(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "Id," + ",".join(f"Attributes.{number}" for number in range(1_000_000)) + "\n")
    tracemalloc.start()
    outcome = check(path, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert outcome.status is Status.FAILED
    assert "a header of more than" in outcome.message
    assert peak < 150_000_000
    narrow = write(tmp_path / "y.csv", "Id" + ",Attributes.a" * COLUMNS_MAX + "\n")
    assert f"has {COLUMNS_MAX + 1:,} columns; expected at most" in check(narrow, tmp_path).message
    # At the border it is taken.
    assert check(write(tmp_path / "z.csv", "Id" + ",Attributes.a" * (COLUMNS_MAX - 1) + "\n"), tmp_path).is_well


def test_a_row_of_a_million_cells_or_bytes_without_end_is_one_bad_row(tmp_path: Path) -> None:
    lines = ["first", "x" + "," * 1_000_000, "y" * (delimited.LINE_CHARS_MAX + 1), "last"]
    found, rejected = read_updates(write(tmp_path / "x.csv", "Id\n" + "\n".join(lines) + "\n"), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["first", "last"]
    assert [each[0] for each in rejected if isinstance(each, tuple)] == [3, 4]
    assert "found 1000001" in str(rejected[0])
    assert "expected a line of at most" in str(rejected[1])


@pytest.mark.parametrize("name", ["x.csv.gz", "x.json.gz", "x.csv.zst"])
def test_a_zip_bomb_is_left_early_and_what_was_before_it_is_kept(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, junk = ("Id,Address\none,\n", "x" * 999 + "\n") if "csv" in name else ('{"Id":"one"}\n', " " * 999 + "\n")
    content = (row + junk * 30_000).encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else zstd.compress(content))
    size = (tmp_path / name).stat().st_size
    read: list[int] = []
    # Of gzip nothing is packed more tightly than the bound lets through, so it is lowered here.
    monkeypatch.setattr(bounds, "RATIO_MAX", bounds.RATIO_MAX if name.endswith("zst") else 200)
    tracemalloc.start()
    outcome = check(tmp_path / name, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (outcome.status, outcome.rows - outcome.rejected) == (Status.BROKEN, 1)
    assert f"has {size:,} bytes and unpacks to more than" in outcome.message
    assert peak < 100_000_000

    # The control: without the bound all of it is read.
    def count(parts: Any, *_: object) -> Any:
        for part in parts:
            read.append(len(part))
            yield part

    monkeypatch.setattr("pipeline.endpoints.files.kind.bound_parts", count)
    assert check(tmp_path / name, tmp_path).status is Status.CHECKED
    assert sum(read) == len(content)


def test_an_export_that_repeats_itself_is_read_again(tmp_path: Path) -> None:
    writer = NdjsonWriter()
    text = b"".join(
        writer.write({"Id": f"{number:06}", "Attributes": {"a": ["lorem ipsum dolor sit amet " * 1000]}}) for number in range(1000)
    )
    packed = gzip.compress(text, compresslevel=6)
    # The bound before, of 200 times, refused it.
    assert len(text) > bounds.UNPACKED_BYTES_FREE
    assert len(text) > 200 * len(packed)
    (tmp_path / "x.json.gz").write_bytes(packed)
    outcome = check(tmp_path / "x.json.gz", tmp_path)
    assert (outcome.status, outcome.rows, outcome.rejected) == (Status.CHECKED, 1000, 0)


def test_no_packed_file_may_hold_more_than_the_absolute_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "UNPACKED_BYTES_MAX", 3)
    assert list(bounds.bound_parts([b"xx", b"y"], "a", 1000)) == [b"xx", b"y"]
    with pytest.raises(BrokenFileError, match="at most 3 bytes"):
        list(bounds.bound_parts([b"xx", b"yy"], "a", 1000))


def test_the_bound_of_packing_is_met_exactly() -> None:
    parts = [b"x" * (bounds.UNPACKED_BYTES_FREE - 1), b"y"]
    assert list(bounds.bound_parts(parts, "a", 1)) == parts
    with pytest.raises(BrokenFileError, match="unpacks to more than"):
        list(bounds.bound_parts([*parts, b"z"], "a", 1))
    # A large file may unpack to as many times its size.
    assert list(bounds.bound_parts([*parts, b"z"], "a", bounds.UNPACKED_BYTES_FREE)) == [*parts, b"z"]


@pytest.mark.attack("S6")
def test_an_address_that_is_not_there_and_one_in_the_lake_are_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not there; expected a file, a folder or an s3:// address"):
        check(tmp_path / "nowhere.csv", tmp_path)
    settings = load_settings(home=tmp_path / "home", s3_bucket="headwater")
    for address in ("s3://headwater/lake/events", "s3://headwater/lake", "s3://headwater/", "s3://headwater"):
        with pytest.raises(UsageError, match="the lake's own folder"):
            check_address(settings, address)
    for address in (
        "s3://headwater//lake/events",
        "s3://headwater/x/../lake",
        "s3://headwater/./lake",
        "s3:///lake",
        "s3://./lake",
        "s3://../headwater/lake",
        "s3://headwater./lake",
        "s3://-headwater/lake",
        "s3://head..water/lake",
        "s3://headwater/a\0b",
    ):
        with pytest.raises(UsageError, match="cannot be used"):
            check_address(settings, address)
    for path in (settings.home / "s3" / "headwater", settings.home):
        with pytest.raises(UsageError, match="the local S3 server's own"):
            check_address(settings, str(path))
    for address in (
        "s3://headwater/lakes",
        "s3://headwater/endpoints/lake",
        "s3://other/lake",
        "s3://a/x",
        "s3://my.own-bucket_1/x",
        str(tmp_path / "out"),
    ):
        check_address(settings, address)


def test_a_row_without_id_gets_one_of_its_content_and_place(tmp_path: Path) -> None:
    text = "Address,ChannelType\na@example.com,EMAIL\na@example.com,EMAIL\n"
    first, second = (read_updates(write(tmp_path / "x.csv", text), tmp_path)[0] for _ in range(2))
    assert [each["endpoint_id"] for each in first] == [each["endpoint_id"] for each in second]
    assert len({each["endpoint_id"] for each in first}) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each["endpoint_id"]) for each in first)


def test_ids_seen_before_are_told_with_their_line_across_batches() -> None:
    known: dict[str, int] = {}
    expected: list[bool] = []
    seen = SeenIds()
    for batch in range(40):
        ids = [f"Id-{(batch * 37 + number * 11) % 900}" for number in range(50)]
        lines = [batch * 50 + number + 2 for number in range(50)]
        found = seen.mark([each.upper() if batch % 2 else each for each in ids], lines)
        for name, line, earlier in zip(ids, lines, found, strict=True):
            expected.append(known.get(name, 0) == earlier)
            known.setdefault(name, line)
    assert all(expected)


def test_an_endpoint_over_the_size_of_a_message_is_rejected(tmp_path: Path) -> None:
    text = json.dumps({"Id": "big", "Attributes": {"a": ["x" * 1_000_000]}}) + '\n{"Id":"small"}\n'
    found, rejected = read_updates(write(tmp_path / "x.json", text), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["small"]
    assert "expected a record of at most 1000000 bytes (setting HEADWATER_MESSAGE_BYTES_MAX)" in str(rejected[0])


def test_ids_are_one_where_core_endpoints_has_one() -> None:
    letters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    words = ["ΔΣ", "δς", "δ\u03c3", "ΟΔΟΣ ΔΣ", "İd", "i\u0307d", "ID", "Straẞe", "STRASSE", "Ǆ", "é", "E\u0301", "a\0B", *letters]
    with duckdb.connect() as connection:
        connection.register("words", pa.table({"word": words}))
        found = connection.execute("select lower(word) from words").fetchall()
    assert [lower_id(word) for word in words] == [lowered for (lowered,) in found]
    # The control: Python's own lower case takes other words for one.
    assert "ΔΣ".lower() == "δς"
    assert lower_id("ΔΣ") == "δ\u03c3"


def test_rows_whose_ids_differ_in_more_than_case_are_kept_and_others_told(tmp_path: Path) -> None:
    found, rejected = read_updates(write(tmp_path / "x.csv", "Id\nδς\nΔΣ\nδ\u03c3\nİ\ni\n"), tmp_path)
    assert [each["endpoint_id"] for each in found] == ["δς", "ΔΣ", "İ"]
    assert [each[:3] for each in rejected if isinstance(each, tuple)] == [(4, "Id", "δ\u03c3"), (6, "Id", "i")]


BYTES_MAX = 1_000_000


def near_the_bounds() -> list[str]:
    """Endpoints one a line, each near the depth or the size that a worker takes at most; the last says little."""
    nested = ['"x":' + "[" * (depth - 1) + "]" * (depth - 1) for depth in range(60, 67)]
    large = [f'"Address":"{"x" * (BYTES_MAX - less)}"' for less in (14, 100, 200, 300, 350, 400, 1000)]
    return [f'{{"Id":"{number}",{members}}}' for number, members in enumerate([*nested, *large, '"Address":"y"'])]


def judged_by_a_worker(found: list[Json]) -> list[bool]:
    """Whether each of these records becomes an update."""
    rules = ValidateRules(message_bytes_max=BYTES_MAX)
    sound = (
        validate_updates(build_records([msgspec.json.encode(update) for update in found]), rules, "truncated").parsed["_row"].to_pylist()
    )
    return [row in sound for row in range(len(found))]


def test_what_is_sent_is_no_dead_letter_however_near_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.json", "\n".join(near_the_bounds()) + "\n")
    sent = read_updates(path, tmp_path)[0]
    assert all(judged_by_a_worker(sent))
    # The control: sent without regard to the bounds, those others are dead letters, and they alone.
    monkeypatch.setattr(updates.UpdateBuilder, "_find_problem", lambda *_: None)
    unguarded = read_updates(path, tmp_path)[0]
    ids = {update["update_id"] for update in sent}
    assert judged_by_a_worker(unguarded) == [update["update_id"] in ids for update in unguarded]
    assert 3 < len(sent) < len(unguarded) - 3


def test_an_id_whose_first_row_was_too_large_is_free(tmp_path: Path) -> None:
    text = json.dumps({"Id": "one", "Address": "x" * BYTES_MAX}) + '\n{"Id":"one"}\n'
    found, rejected = read_updates(write(tmp_path / "x.json", text), tmp_path)
    assert ([each["update_id"] for each in found], len(rejected)) == (["hash/2"], 1)


def test_rejected_rows_are_counted_by_a_few_reasons_however_many_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 300
    csv_text = "Id,Address\n" + "same,x\n" * (rows + 1) + "".join("x" + "," * (number + 2) + "\n" for number in range(rows))
    json_text = "".join(f'{{"Id":"{number}","Attributes":{{"a{number}":7}}}}\n' for number in range(rows))
    json_text += "".join('{"Id":"x"' + " " * number + ",}\n" for number in range(rows))
    for name, text, expected in (("x.csv", csv_text, 2 * rows), ("x.json", json_text, 2 * rows)):
        path = write(tmp_path / name, text)
        outcome = check(path, tmp_path)
        assert outcome.rejected == sum(outcome.rejected_reasons.values()) >= expected - 1
        assert len(outcome.rejected_reasons) <= (REASONS_MAX + 1 if name == "x.json" else 6)
        # The report has each row's own reason.
        assert len(outcome.first_rejected) == 100
    # The control: counted by what is said of each row there are as many reasons as rows.
    monkeypatch.setattr(RowError, "kind", property(lambda self: self.reason, lambda self, value: None), raising=False)
    monkeypatch.setattr("pipeline.imports.outcome.REASONS_MAX", 10**9)
    assert len(check(tmp_path / "x.csv", tmp_path).rejected_reasons) > rows


def test_a_file_that_was_named_and_is_something_else_is_refused(tmp_path: Path) -> None:
    outcome = check(write(tmp_path / "x.parquet", b"PAR1" + b"0" * 40 + b"PAR1"), tmp_path)
    assert outcome.status is Status.FAILED
    assert "expected endpoints as CSV or NDJSON" in outcome.message


# What a spreadsheet would run, and what neutralises it.


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+49123", "'+49123"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\n=1", "'\n=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1", "'\uff0b1"),
        ("\uff0d1", "'\uff0d1"),
        ("\uff20x", "'\uff20x"),
        ("'\uff1d1", "''\uff1d1"),
        ("\uff0c1", "\uff0c1"),
        (" =1", " =1"),
        ("'=1", "''=1"),
        ("''=1", "'''=1"),
        ("'quoted'", "'quoted'"),
        ("'", "'"),
        ("a=1", "a=1"),
    ],
)
@pytest.mark.attack("S4")
def test_a_cell_that_a_spreadsheet_would_run_is_covered_and_comes_back(value: str, cell: str) -> None:
    assert cells.cover(value) == cell
    assert cells.uncover(cell) == value


@pytest.mark.attack("S4")
def test_no_exported_cell_begins_as_a_formula_and_without_the_cover_it_does_control(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = {"Id": "one", "Address": "=1+1", "ApplicationId": "shop", "Attributes": {"a": ["@x"]}, "Metrics": {"m": -1.0}}
    columns = ["Id", "Address", "Attributes.a", "Metrics.m"]
    assert CsvWriter(columns).write(endpoint) == b"one,'=1+1,'@x,-1.0\r\n"
    monkeypatch.setattr("pipeline.endpoints.files.write.cover", lambda cell: cell)
    assert CsvWriter(columns).write(endpoint) == b"one,=1+1,@x,-1.0\r\n"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12) | st.sampled_from(
    [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        "\uff1dx",
        "'\uff20x",
        "'=1",
        "''+1",
        "'",
        'a"b',
        "a,b",
        "a\nb",
        "a\r\nb",
        " ",
        "\ufeff",
    ]
)
NAME = TEXT.filter(lambda name: "\r" not in name)
LISTS = st.dictionaries(NAME, st.lists(TEXT, min_size=1, max_size=3), max_size=3)
METRICS = st.dictionaries(NAME, st.floats(allow_nan=False, allow_infinity=False), max_size=3)
ENDPOINT = st.fixed_dictionaries(
    {"Id": TEXT},
    optional={
        "Address": TEXT,
        "ChannelType": st.sampled_from([str(each) for each in ChannelType]),
        "OptOut": st.sampled_from(["ALL", "NONE"]),
        "CohortId": st.integers(0, 99).map(str),
        "CreationDate": st.just("2026-01-01T00:00:00.000Z"),
        "Attributes": LISTS.filter(bool),
        "Metrics": METRICS.filter(bool),
        "Demographic": st.fixed_dictionaries({"Locale": TEXT}),
        "Location": st.fixed_dictionaries({"Latitude": st.floats(-90, 90), "City": TEXT}),
        "User": st.fixed_dictionaries({"UserId": TEXT}, optional={"UserAttributes": LISTS.filter(bool)}),
    },
)
ENDPOINTS: st.SearchStrategy[list[Json]] = st.lists(
    ENDPOINT, min_size=1, max_size=4, unique_by=lambda endpoint: str(endpoint["Id"]).lower()
)


def columns_of(endpoints: list[Json]) -> list[str]:
    """The columns that hold all of them, lists as often as any has values."""
    from pipeline.endpoints.files.columns import FIXED

    counts: dict[str, int] = {}
    for endpoint in endpoints:
        lists = [
            ("Attributes.", endpoint.get("Attributes", {})),
            ("User.UserAttributes.", endpoint.get("User", {}).get("UserAttributes", {})),
        ]
        for prefix, found in lists:
            for name, values in found.items():
                counts[prefix + name] = max(counts.get(prefix + name, 0), len(values))
        counts |= {f"Metrics.{name}": 1 for name in endpoint.get("Metrics", {})}
    return [*FIXED, *(name for name, count in counts.items() for _ in range(count))]


@given(ENDPOINTS)
@settings(deadline=None)
def test_what_is_written_as_csv_is_read_back(tmp_path_factory: pytest.TempPathFactory, endpoints: list[Json]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    writer = CsvWriter(columns_of(endpoints))
    text = writer.begin() + b"".join(writer.write(endpoint) for endpoint in endpoints)
    found, rejected = read_updates(write(folder / "x.csv", text), folder)
    assert rejected == []
    assert [of(each) for each in found] == endpoints
    assert writer.reduced == 0
    for line in csv.reader(io.StringIO(text.decode(), newline="")):
        assert not [cell for cell in line if re.match(r"[=+@\t\r\n\uff1d\uff0b\uff0d\uff20]|-(?![\d.einf+-]+$)", cell)]


@given(ENDPOINTS)
@settings(deadline=None)
def test_what_is_written_as_ndjson_is_read_back(tmp_path_factory: pytest.TempPathFactory, endpoints: list[Json]) -> None:
    folder = tmp_path_factory.mktemp("ndjson")
    writer = NdjsonWriter()
    found, rejected = read_updates(write(folder / "x.json", b"".join(writer.write(each) for each in endpoints)), folder)
    assert rejected == []
    assert [of(each) for each in found] == endpoints


def test_csv_says_of_how_many_endpoints_it_could_not_hold_all() -> None:
    writer = CsvWriter(["Id", "Attributes.a"])
    for endpoint in ({"Id": "1", "Attributes": {"a": ["x"]}}, {"Id": "2", "Attributes": {"a": [""]}}, {"Id": "3", "New": True}):
        writer.write(endpoint)
    assert writer.reduced == 2


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["ALL", "EMAIL", "2026-01-01T00:00:00Z", "1850-01-01", "x", "", "07"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "UserId", "UserAttributes", "Latitude", "City", "Locale"]), inner, max_size=3)
    ),
    max_leaves=6,
)
MEMBERS = ["Id", "Address", "Attributes", "ChannelType", "CohortId", "CreationDate", "Demographic", "EffectiveDate", "EndpointStatus"]
MEMBERS += ["Location", "Metrics", "OptOut", "RequestId", "User", "New"]


@given(st.dictionaries(st.sampled_from(MEMBERS), ODD, max_size=6))
@settings(deadline=None, max_examples=500)
def test_what_the_quick_check_takes_the_exact_reading_takes(document: Json) -> None:
    content = msgspec.json.encode(document)
    if is_surely_sound(content):
        try:
            parse_endpoint(content)
        except (EndpointError, Unreadable) as error:
            raise AssertionError(f"{content!r}: {error}") from error


def test_an_ordinary_row_needs_the_quick_check_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(updates, "read_endpoint", asked.append)
    assert read_updates(write(tmp_path / "x.csv", CSV), tmp_path)[1] == []
    assert asked == []
