"""What the table keeps of a client's address: its network unless a setting says otherwise, and only after all others have used the whole one."""

import ipaddress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.enrich import EnrichRules, enrich_batch
from agents.enrichment.addresses import keep_addresses, parse_address
from agents.enrichment.geo import GeoDatabase
from agents.redact import RedactRules, redact_records
from agents.validate import ValidateRules, validate_batch
from tests.geo_database import CITY
from tests.parsed_rows import parsed_table
from tests.test_redact import records_table

LONDON = "81.2.69.142"


def enrich(*addresses: str | None, **rules: Any) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        found = enrich_batch(con, parsed_table(*({"client_ip": address} for address in addresses)), EnrichRules(**rules))
    return found.to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("192.0.2.0", "192.0.2.0"),
        ("192.0.2.255", "192.0.2.0"),
        ("192.0.3.1", "192.0.3.0"),
        ("255.255.255.255", "255.255.255.0"),
        (" 192.0.2.7 ", "192.0.2.0"),
        ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", "2001:db8:1::"),
        ("2001:db8:2::1", "2001:db8:2::"),
        ("2001:DB8::1", "2001:db8::"),
        ("::1", "::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.7", "192.0.2.0"),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("192.0.2.1:443", None),
        ("192.0.2.1, 192.0.2.2", None),
        ("unknown", None),
        ("", None),
        ("1" * 100_000, None),
        (None, None),
    ],
)
def test_of_an_address_its_network_is_kept_and_of_what_is_none_nothing(sent: str | None, kept: str | None) -> None:
    (row,) = enrich(sent)
    assert row["client_ip"] == kept


def test_each_row_keeps_its_own_address_beside_others_and_in_a_slice() -> None:
    sent = ["192.0.2.7", None, "2001:db8::1", "192.0.2.7", "no address", "192.0.2.9"]
    kept = ["192.0.2.0", None, "2001:db8::", "192.0.2.0", None, "192.0.2.0"]
    assert keep_addresses(pa.array(sent), "truncated").to_pylist() == kept
    assert keep_addresses(pa.array(sent).slice(2, 3), "truncated").to_pylist() == kept[2:5]
    assert keep_addresses(pa.array([], pa.string()), "truncated").to_pylist() == []


def test_a_full_address_is_kept_as_sent_whatever_it_is() -> None:
    sent = ["192.0.2.7", " ::ffff:192.0.2.7", "no address", "", None]
    assert [row["client_ip"] for row in enrich(*sent, client_address="full")] == sent


def test_none_keeps_no_address() -> None:
    assert [row["client_ip"] for row in enrich("192.0.2.7", "no address", None, client_address="none")] == [None, None, None]


@pytest.mark.parametrize("kept", ["truncated", "none", "full"])
def test_places_and_internal_networks_are_those_of_the_whole_address_whatever_is_kept(geo_files: Path, kept: str) -> None:
    # In the /24 of London's address that stands in the database, .0 itself is not.
    rules = {"internal_networks": (f"{LONDON}/32",), "geo_database": GeoDatabase(geo_files / CITY), "client_address": kept}
    inside, beside = enrich(LONDON, "81.2.69.1", **rules)
    assert (inside["geo_city"], inside["traffic"]) == ("London", "internal")
    assert (beside["geo_city"], beside["traffic"]) == (None, None)
    assert {inside["client_ip"], beside["client_ip"]} == {
        "truncated": {"81.2.69.0"},
        "none": {None},
        "full": {LONDON, "81.2.69.1"},
    }[kept]


def test_control_a_place_looked_up_by_what_is_kept_would_be_another(geo_files: Path) -> None:
    (kept,) = keep_addresses(pa.array([LONDON]), "truncated").to_pylist()
    found = GeoDatabase(geo_files / CITY).look_up(pa.array([LONDON, kept]))
    assert found["geo_city"].to_pylist() == ["London", None]


_number = st.integers(0, 300).map(str) | st.sampled_from(["00", "01", "0x1", "", " 1", "1 ", "+1", "-1", "1e2", "\u0661", "1\x00", "\n"])


@given(st.lists(_number, min_size=1, max_size=6).map(".".join) | st.ip_addresses().map(str) | st.text(max_size=20))
@example("1.2.3.4\x00")
@example("127.1")
@example("0177.0.0.1")
@example("2130706433")
def test_what_is_an_address_is_what_pythons_library_takes_for_one(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text.strip())
    except ValueError:
        expected = None
    if isinstance(expected, ipaddress.IPv6Address):
        expected = expected.ipv4_mapped or ipaddress.IPv6Address(int(expected))
    assert parse_address(text) == expected


def test_an_address_that_is_carried_in_ipv6_is_the_ipv4_one() -> None:
    assert parse_address("::ffff:192.0.2.7") == parse_address("192.0.2.7")


def test_redaction_that_removes_client_ip_removes_it_from_the_bytes_of_dead_letters_and_from_places(geo_files: Path) -> None:
    good = b'{"event_type":"x","event_timestamp":1767225600000,"application":{"app_id":"a"},"headwater":{"client_ip":"81.2.69.142"}}'
    broken = good.replace(b'"x"', b"7")

    def land(rules: RedactRules) -> tuple[list[bytes], list[str | None]]:
        validated = validate_batch(redact_records(records_table([good, broken]), rules), ValidateRules(1_000_000))
        with duckdb.connect() as con:
            events = enrich_batch(con, validated.parsed, EnrichRules(geo_database=GeoDatabase(geo_files / CITY)))
        return validated.dead["value"].to_pylist(), events["geo_city"].to_pylist()

    assert land(RedactRules()) == ([broken], ["London"])
    (kept,), places = land(RedactRules(removed=frozenset({"client_ip"})))
    assert b"81.2.69" not in kept
    assert places == [None]
