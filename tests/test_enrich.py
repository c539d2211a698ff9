"""The step enrich: each enrichment at its borders, what it documents, and what must not change."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.enrich import SENDER, EnrichRules, enrich_batch
from agents.enrichment.columns import find_distinct
from agents.enrichment.enrichments import ENRICHMENTS, Enrichment
from agents.enrichment.geo import GeoDatabase
from schemas.errors import UsageError
from schemas.records import PARSED
from schemas.tables import load_table
from tests.geo_database import CITY
from tests.parsed_rows import parsed_table

SAFARI = ENRICHMENTS[0].before["user_agent"]
HEADLESS = ENRICHMENTS[-1].before["user_agent"]


def enrich(*rows: Mapping[str, Any], **rules: Any) -> list[dict[str, Any]]:
    with duckdb.connect() as con:
        found = enrich_batch(con, parsed_table(*rows), EnrichRules(**rules))
    return found.to_pylist(maps_as_pydicts="strict")  # type: ignore[no-any-return]


def only(name: str) -> frozenset[str]:
    return frozenset({name})


@pytest.mark.parametrize("enrichment", ENRICHMENTS, ids=lambda enrichment: enrichment.name)
def test_documented_after_is_what_comes_out(enrichment: Enrichment, geo_files: Path) -> None:
    (row,) = enrich(enrichment.before, enabled=only(enrichment.name), geo_database=GeoDatabase(geo_files / CITY))
    assert {name: row[name] for name in enrichment.fills if row[name] is not None} == dict(enrichment.after)


@pytest.mark.parametrize("enrichment", ENRICHMENTS, ids=lambda enrichment: enrichment.name)
def test_enrichment_that_is_off_fills_nothing_while_all_others_are_on(enrichment: Enrichment, geo_files: Path) -> None:
    others = frozenset(every.name for every in ENRICHMENTS) - {enrichment.name}
    (row,) = enrich(enrichment.before, enabled=others, geo_database=GeoDatabase(geo_files / CITY))
    (as_sent,) = enrich(enrichment.before, enabled=frozenset())
    assert {name: row[name] for name in enrichment.fills} == {name: as_sent[name] for name in enrichment.fills}
    assert {name: row[name] for name in enrichment.after} != enrichment.after


def test_result_has_exactly_the_schema_of_events_with_promoted_columns() -> None:
    rules = EnrichRules(promoted_attributes=("plan", "Store-Id"))
    with duckdb.connect() as con:
        found = enrich_batch(con, parsed_table({"attributes": {"plan": "gold", "Store-Id": "s1", "x": "y"}}, {}), rules)
    assert found.schema.equals(load_table("events").with_promoted(("plan", "Store-Id")).arrow, check_metadata=True)
    assert found["attribute_plan"].to_pylist() == ["gold", None]
    assert found["attribute_store_id"].to_pylist() == ["s1", None]
    assert found["attributes"].to_pylist()[0] == [("plan", "gold"), ("Store-Id", "s1"), ("x", "y")]


def test_promoted_attribute_may_have_the_name_of_one_that_an_enrichment_reads() -> None:
    (row,) = enrich({"attributes": {"campaign_id": "c1"}}, promoted_attributes=("campaign_id",))
    assert (row["campaign_id"], row["attribute_campaign_id"]) == ("c1", "c1")


@pytest.mark.parametrize("enabled", [frozenset(), frozenset(each.name for each in ENRICHMENTS)], ids=["none", "all"])
def test_empty_batch_gives_an_empty_table_of_the_same_schema(enabled: frozenset[str]) -> None:
    with duckdb.connect() as con:
        found = enrich_batch(con, PARSED.empty_table(), EnrichRules(enabled=enabled))
    assert len(found) == 0
    assert found.schema.equals(load_table("events").arrow)


def test_arrival_date_is_the_utc_day_of_the_append_time() -> None:
    last = dt.datetime(2026, 11, 23, 23, 59, 59, 999999, tzinfo=dt.UTC)
    found = enrich({"_appended_at": last}, {"_appended_at": last + dt.timedelta(microseconds=1)})
    assert [row["arrival_date"] for row in found] == [dt.date(2026, 11, 23), dt.date(2026, 11, 24)]


def test_rows_keep_their_order_and_their_own_values_in_a_large_batch_of_many_chunks() -> None:
    rows = [
        {
            "event_id": f"e{place}",
            "platform": ["ios", "iOS", "Android", None, "Tizen"][place % 5],
            "locale_code": ["en_US", "de-de", None][place % 3],
            "user_agent": [SAFARI, None][place % 2],
            "endpoint": f'{{"User":{{"UserId":"u{place}"}}}}' if place % 7 else "garbage",
            "attributes": {"campaign_id": f"c{place}", "n": "1"} if place % 11 else {},
        }
        for place in range(9001)
    ]
    table = pa.concat_tables([parsed_table(*rows[:4000]), parsed_table(*rows[4000:])])
    with duckdb.connect() as con:
        found = enrich_batch(con, table, EnrichRules()).to_pylist()
    assert [row["event_id"] for row in found] == [row["event_id"] for row in rows]
    assert [row["user_id"] for row in found] == [f"u{place}" if place % 7 else None for place in range(9001)]
    assert [row["campaign_id"] for row in found] == [f"c{place}" if place % 11 else None for place in range(9001)]
    expected = ["ios", "ios", "android", None, "Tizen"]
    assert [row["platform"] for row in found] == [expected[p % 5] or ("ios" if p % 2 == 0 else None) for p in range(9001)]
    assert [row["locale"] for row in found] == [["en_US", "de_DE", None][place % 3] for place in range(9001)]


def test_events_with_nothing_but_a_type_beside_rich_ones_come_out_as_each_does_alone() -> None:
    plain: list[dict[str, Any]] = [
        {"event_type": kind} for kind in ("_email.open", "view", "_campaign.send", "_email.open", "_SMS.SUCCESS", "view")
    ]
    endpoint = '{"ChannelType":"GCM","User":{"UserId":"u"},"Attributes":{"a":["b"]}}'
    facets = '{"email_channel":{"mail_event":{"mail":{"message_id":"m"}}}}'
    rich: list[dict[str, Any]] = [
        {"event_type": "_campaign.send", "endpoint": endpoint},
        {"event_type": "_email.open", "facets": facets},
        {"event_type": "view", "attributes": {"campaign_id": "c"}},
        {"event_type": "_email.open", "attributes": {"delivery_type": "SMS"}},
        {"event_type": "view", "user_agent": HEADLESS},
        {"event_type": "view", "client_ip": "10.1.2.3"},
    ]
    rows = [row for pair in zip(plain, rich, strict=True) for row in pair] + plain
    rules: dict[str, Any] = {"internal_networks": ("10.0.0.0/8",)}
    filled = {name for enrichment in ENRICHMENTS for name in enrichment.fills}
    together, alone = enrich(*rows, **rules), [enrich(row, **rules)[0] for row in rows]
    assert [{name: row[name] for name in filled} for row in together] == [{name: row[name] for name in filled} for row in alone]
    assert {row["channel"] for row in together} == {"EMAIL", "SMS", "PUSH", None}


def test_slice_of_a_larger_batch_is_enriched_like_the_rows_alone() -> None:
    rows = [{"attributes": {"campaign_id": f"c{place}", "k": "v"}, "metrics": {"m": float(place)}} for place in range(20)]
    with duckdb.connect() as con:
        found = enrich_batch(con, parsed_table(*rows).slice(7, 5), EnrichRules())
    assert found["campaign_id"].to_pylist() == [f"c{place}" for place in range(7, 12)]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (("en_US", None, None), ("en_US", "en", "US")),
        (("en-us", None, None), ("en_US", "en", "US")),
        (("en_US.UTF-8", None, None), ("en_US", "en", "US")),
        (("en-US-u-hc-h12", None, None), ("en_US", "en", "US")),
        (("en_US@calendar=gregorian", None, None), ("en_US", "en", "US")),
        (("zh-Hans-CN", None, None), ("zh_Hans_CN", "zh", "CN")),
        (("zh_TW_#Hant", None, None), ("zh_TW", "zh", "TW")),
        (("es-419", None, None), ("es_419", "es", None)),
        (("fil", None, None), ("fil", "fil", None)),
        (("in_ID", None, None), ("id_ID", "id", "ID")),
        ((None, "US", "EN"), ("en_US", "en", "US")),
        (("de", "at", None), ("de_AT", "de", "AT")),
        ((None, None, "iw"), ("he", "he", None)),
        ((None, "us", None), (None, None, "US")),
        (("en_GB", "US", "en"), ("en_GB", "en", "US")),
        (("C", None, None), ("C", None, None)),
        (("default", "DE", "de"), ("default", "de", "DE")),
        (("  ", "", " "), (None, None, None)),
        ((None, None, None), (None, None, None)),
    ],
)
def test_locale_in_one_spelling_from_whichever_was_sent(sent: tuple[str | None, ...], expected: tuple[str | None, ...]) -> None:
    code, country, language = sent
    (row,) = enrich({"locale_code": code, "locale_country": country, "locale_language": language}, enabled=only("locale"))
    assert (row["locale"], row["language"], row["country"]) == expected


def test_locale_stays_as_sent_when_it_is_off() -> None:
    (row,) = enrich({"locale_code": "en-us", "locale_country": "us", "locale_language": "EN"}, enabled=frozenset())
    assert (row["locale"], row["language"], row["country"]) == ("en-us", "EN", "us")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (("iOS", "apple", "iphone"), ("ios", "Apple", "iPhone")),
        (("ANDROID", "SAMSUNG", "samsung SM-G991B"), ("android", "Samsung", "SM-G991B")),
        (("Mac OS X", "Apple Inc.", "Mac"), ("macos", "Apple", "Mac")),
        (("Tizen", "Zebra", "TC52"), ("Tizen", "Zebra", "TC52")),
        (("  ", "", " Pixel 7 "), (None, None, "Pixel 7")),
        (("web", "google", "Google"), ("web", "Google", "Google")),
    ],
)
def test_device_in_one_spelling_and_unknown_values_as_sent(sent: tuple[str, ...], expected: tuple[str | None, ...]) -> None:
    platform, make, model = sent
    (row,) = enrich({"platform": platform, "make": make, "model": model}, enabled=only("device"))
    assert (row["platform"], row["make"], row["model"]) == expected


def test_user_agent_never_mixes_with_a_device_that_the_client_described() -> None:
    (row,) = enrich({"platform": "Android", "user_agent": SAFARI}, enabled=only("user-agent"))
    assert (row["platform"], row["make"], row["model"], row["browser"]) == ("Android", None, None, "Mobile Safari")


def test_device_of_blanks_counts_as_missing() -> None:
    (row,) = enrich({"platform": " ", "make": "", "user_agent": SAFARI})
    assert (row["platform"], row["make"], row["model"]) == ("ios", "Apple", "iPhone")


@pytest.mark.parametrize(
    "endpoint",
    [
        "garbage",
        "",
        "[1]",
        '"text"',
        "null",
        '{"User":"u1"}',
        '{"Attributes":{"a":["x"],"a":["y"]}}',
        '{"User":{"UserId":"u1"}}{}',
        '{"User":{"UserId":"\\ud800"}}',
        '{"User":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"Attributes":[1,2],"User":{"UserId":null,"UserAttributes":7}}',
    ],
    ids=range(11),
)
def test_malformed_endpoint_gives_nulls_and_never_costs_its_batch(endpoint: str) -> None:
    good = {"endpoint": '{"User":{"UserId":"u2"}}'}
    (alone,) = enrich({"endpoint": endpoint})
    among = enrich(good, {"endpoint": endpoint}, good)
    for row in (alone, among[1]):
        assert (row["endpoint"], row["user_id"], row["user_attributes"]) == (endpoint, None, None)
    assert [among[0]["user_id"], among[2]["user_id"]] == ["u2", "u2"]


def test_endpoint_attributes_that_are_no_lists_are_null_and_numbers_become_text() -> None:
    (row,) = enrich({"endpoint": '{"Attributes":{"a":"x","b":[1,"2",null]},"User":{"UserId":42}}'})
    assert row["endpoint_attributes"] == {"a": None, "b": ["1", "2", None]}
    assert row["user_id"] == "42"


@pytest.mark.parametrize(
    ("event_type", "attributes", "endpoint", "expected"),
    [
        ("_campaign.send", {"delivery_type": "EMAIL"}, None, "EMAIL"),
        ("_campaign.send", {"delivery_type": "APNS_VOIP_SANDBOX"}, None, "PUSH"),
        ("_campaign.send", {"delivery_type": "CUSTOM"}, '{"ChannelType":"SMS"}', "CUSTOM"),
        ("_campaign.send", {}, '{"ChannelType":"GCM"}', "PUSH"),
        ("_campaign.send", {}, "garbage", None),
        ("_campaign.opened_notification", {}, '{"ChannelType":"EMAIL"}', "PUSH"),
        ("_journey.send", {"journey_activity_type": "SMS"}, None, "SMS"),
        ("_email.hardbounce", {}, None, "EMAIL"),
        ("_SMS.BUFFERED", {}, None, "SMS"),
        ("_inapp.message_clicked", {}, None, "IN_APP"),
        ("_session.start", {}, '{"ChannelType":"GCM"}', None),
        ("order.ship", {"delivery_type": "express"}, None, None),
    ],
)
def test_channel_of_message_events_and_of_no_others(
    event_type: str, attributes: dict[str, str], endpoint: str | None, expected: str | None
) -> None:
    (row,) = enrich({"event_type": event_type, "attributes": attributes, "endpoint": endpoint})
    assert row["channel"] == expected


def test_message_id_of_an_own_event_is_left_in_its_attributes() -> None:
    own, standard = enrich(
        {"event_type": "chat.send", "attributes": {"message_id": "m1"}},
        {"event_type": "_SMS.SUCCESS", "attributes": {"message_id": "m1"}},
    )
    assert (own["message_id"], standard["message_id"]) == (None, "m1")


def test_facets_that_are_not_json_cost_nothing() -> None:
    (row,) = enrich({"event_type": "_email.open", "facets": "{garbage"})
    assert (row["message_id"], row["channel"]) == (None, "EMAIL")


def test_internal_traffic_is_labelled_by_endpoint_and_by_network_and_wins_over_bots() -> None:
    rules = {"internal_endpoints": ("QA-1",), "internal_networks": ("192.0.2.0/24", "2001:db8::/32")}
    bot = "Googlebot/2.1 (+http://www.google.com/bot.html)"
    found = enrich(
        {"endpoint_id": "qa-1", "user_agent": bot},
        {"endpoint_id": "qa-2", "client_ip": "192.0.2.255"},
        {"client_ip": "192.0.3.0"},
        {"client_ip": "2001:db8::1"},
        {"client_ip": "::ffff:192.0.2.7"},
        {"client_ip": "no address", "user_agent": bot},
        {"user_agent": SAFARI},
        **rules,
    )
    assert [row["traffic"] for row in found] == ["internal", "internal", None, "internal", "internal", "bot", None]
    assert [(row["traffic_rule"] or "").split("@")[0] for row in found] == [
        *("internal-endpoint", "internal-network", "", "internal-network", "internal-network", "ua-parser-spider", ""),
    ]
    assert len(found) == 7, "labelled, never dropped"


def test_version_of_an_internal_rule_changes_with_what_it_lists_and_not_with_its_order() -> None:
    def rule(*endpoints: str) -> str:
        (row,) = enrich({"endpoint_id": "a"}, internal_endpoints=endpoints)
        return str(row["traffic_rule"])

    assert rule("a", "b") == rule("b", "a")
    assert rule("a", "b") != rule("a", "c")


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"enabled": frozenset({"weather"})}, "weather"),
        ({"internal_networks": ("192.0.2.0/33",)}, "192.0.2.0/33"),
        ({"promoted_attributes": ("Plan", "plan")}, "attribute_plan"),
        ({"promoted_attributes": ("plan", "plan")}, "attribute_plan"),
    ],
)
def test_rules_that_cannot_be_used_are_refused_by_name(rules: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        EnrichRules(**rules)


def test_enrichments_declare_columns_that_exist() -> None:
    columns = set(load_table("events").column_names)
    assert [set(enrichment.fills) - columns for enrichment in ENRICHMENTS] == [set()] * len(ENRICHMENTS)


_text = st.none() | st.text(max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                **{name: _text for name in ("platform", "make", "model", "locale_code", "locale_country", "locale_language")},
                **{name: _text for name in ("user_agent", "client_ip", "endpoint", "facets", "endpoint_id")},
                "event_type": st.text(max_size=12) | st.sampled_from(["_email.open", "_campaign.send", "_SMS.X"]),
                "attributes": st.dictionaries(st.sampled_from(["campaign_id", "message_id", "delivery_type", "x"]), st.text(max_size=5)),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_text_keeps_its_row_and_what_no_enrichment_fills(rows: list[dict[str, Any]]) -> None:
    found = enrich(*rows, internal_networks=("10.0.0.0/8",), internal_endpoints=("x",), client_address="full")
    for sent, row in zip(rows, found, strict=True):
        for name in ("event_type", "endpoint", "facets", "endpoint_id", "user_agent", "client_ip", "attributes"):
            assert row[name] == sent[name]


def test_senders_are_told_apart_by_all_of_their_columns_however_many_values_each_has() -> None:
    rows = [{name: f"{name} {place % (997 - step)}" for step, name in enumerate(SENDER)} for place in range(3000)]
    columns = [pa.array([row[name] for row in rows]) for name in SENDER]
    first_rows, sender_of_row = find_distinct(columns)
    seen: dict[tuple[str, ...], int] = {}
    for place, row in enumerate(rows):
        seen.setdefault(tuple(row.values()), place)
    assert first_rows.to_pylist() == list(seen.values())
    assert [first_rows[of].as_py() for of in sender_of_row.to_pylist()] == [seen[tuple(row.values())] for row in rows]
