"""The step redact: what was named never reaches events, dead letters or their bytes, and nothing else changes."""

import datetime as dt
import hmac
import io
import json
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.enrich import EnrichRules, enrich_batch
from agents.redact import HASH_PREFIX, UNREADABLE_TEXT, RedactRules, hash_text, redact_records
from agents.redact_names import fold_name
from agents.validate import ValidateRules, validate_batch
from schemas.errors import UsageError
from schemas.records import RECORDS

pytestmark = pytest.mark.attack("S7")

KEY = b"a key for tests"
AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
EVENT = {"event_id": "e1", "event_type": "cart.add", "event_timestamp": 1767225600000, "application": {"app_id": "shop"}}
OFF = RedactRules()


def records_table(values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None) -> pa.Table:
    count = len(values)
    columns = {
        "value": values,
        "value_bytes": [len(value or b"") for value in values],
        "key": keys or [b"shop/ep1"] * count,
        "origin": [None] * count,
        "_topic_id": ["t"] * count,
        "_partition": [0] * count,
        "_offset": list(range(count)),
        "_appended_at": [AT] * count,
        "_payload_hash": [xxhash.xxh3_64_intdigest(value or b"") >> 1 for value in values],
    }
    return pa.table({name: pa.array(columns[name], RECORDS.field(name).type) for name in RECORDS.names}, schema=RECORDS)


def redact_one(document: Any, **rules: Any) -> Any:
    value = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = redact_records(records_table([value]), RedactRules(**{"key": KEY, **rules}))["value"][0].as_py()
    return json.loads(found)


def hashed(text: str) -> str:
    return HASH_PREFIX + hmac.new(KEY, text.encode(), "sha256").hexdigest()


def names(*found: str) -> frozenset[str]:
    return frozenset(found)


def test_removed_name_loses_its_member_and_hashed_name_its_value_at_any_depth() -> None:
    document = {"a": {"email": "x@example.com", "list": [{"ssn": "1"}, {"k": "v"}]}, "ssn": "1", "email": "x@example.com"}
    assert redact_one(document, removed=names("ssn"), hashed=names("email")) == {
        "a": {"email": hashed("x@example.com"), "list": [{}, {"k": "v"}]},
        "email": hashed("x@example.com"),
    }


@pytest.mark.parametrize("spelling", ["email", "EMAIL", "eMail", "e_mail", "E-Mail", "_email_", "--e-mail"])
def test_case_underscores_and_hyphens_of_a_name_do_not_count(spelling: str) -> None:
    assert redact_one({spelling: "x"}, hashed=names("email")) == {spelling: hashed("x")}
    assert redact_one({"email": "x"}, hashed=names(spelling)) == {"email": hashed("x")}


@pytest.mark.parametrize("key", [r"\u0065mail", r"e\u006d\u0061il", r"\u0045MAIL", r"em\u0061il"])
def test_key_that_is_spelt_with_escapes_is_found(key: str) -> None:
    assert list(redact_one(b'{"%s":"x"}' % key.encode(), hashed=names("email")).values()) == [hashed("x")]


@pytest.mark.parametrize("name", ["a/b", 'a"b', "a\\b", "naïve", "имя", "a.b*c", "x y"])
def test_name_of_any_letters_is_found_however_it_is_escaped(name: str) -> None:
    for key in (json.dumps(name), json.dumps(name, ensure_ascii=False), json.dumps(name).replace("/", r"\/")):
        assert redact_one(b'{"k":{%s:"x"}}' % key.encode(), hashed=names(name)) == {"k": {name: hashed("x")}}
        inner = json.dumps(f'{{{key}: "x"}}').encode()
        found = redact_one(b'{"k":%s}' % inner, hashed=names(name))
        assert json.loads(found["k"]) == {name: hashed("x")}


def test_json_inside_text_inside_text_is_redacted() -> None:
    innermost = json.dumps({"email": "x", "n": 1.50})
    found = redact_one(
        {"endpoint": json.dumps({"User": {"Data": innermost}, "Address": "x"})}, hashed=names("email"), removed=names("address")
    )
    endpoint = json.loads(found["endpoint"])
    assert json.loads(endpoint["User"]["Data"]) == {"email": hashed("x"), "n": 1.5}
    assert "Address" not in endpoint


def test_numbers_are_hashed_by_their_text_lists_by_element_objects_whole_and_null_stays() -> None:
    document = b'{"phone":4915112345678,"email":["a","b",null,["c"]],"token":{"a":1.50},"flag":true,"none":null}'
    found = redact_one(document, hashed=names("phone", "email", "token", "flag", "none"))
    assert found == {
        "phone": hashed("4915112345678"),
        "email": [hashed("a"), hashed("b"), None, [hashed("c")]],
        "token": hashed('{"a":1.50}'),
        "flag": hashed("true"),
        "none": None,
    }


def test_equal_inputs_have_equal_hashes_and_another_key_gives_others() -> None:
    assert hash_text("x", KEY) == hash_text("x", KEY) == hashed("x")
    assert hash_text("x", KEY) != hash_text("x", b"another key")
    assert hash_text("x", KEY) != hash_text("X", KEY)


def test_record_that_comes_through_twice_is_hashed_once() -> None:
    rules = RedactRules(hashed=names("email"), key=KEY)
    once = redact_records(records_table([b'{"email":"x"}']), rules)
    assert redact_records(once, rules)["value"].to_pylist() == once["value"].to_pylist()


def test_all_other_numbers_and_texts_stay_exactly_as_sent() -> None:
    value = b'{"email":"x","big":12345678901234567890123,"float":1.50,"exp":1E5,"text":"\\u00e9 \\"q\\" {","neg":-0.0}'
    found = redact_records(records_table([value]), RedactRules(removed=names("email")))["value"][0].as_py()
    for literal in (b'"big":12345678901234567890123', b'"float":1.50', b'"exp":1E5', b'"neg":-0.0'):
        assert literal in found
    assert json.loads(found)["text"] == 'é "q" {'


@pytest.mark.parametrize(
    "value",
    [b'{"ChannelType":"EMAIL", "x" : 1}', b'{ "note":"\\u0041" , "a":1.0}', b'{"t":"{\\"channel\\" : \\"email\\"}"}', b"{}", None, b""],
)
def test_value_without_the_name_stays_byte_for_byte(value: bytes | None) -> None:
    assert redact_records(records_table([value]), RedactRules(removed=names("email")))["value"].to_pylist() == [value]


def test_size_and_payload_hash_stay_as_received() -> None:
    before = records_table([b'{"email":"x@example.com"}', b"{}"])
    after = redact_records(before, RedactRules(removed=names("email")))
    assert after.schema.equals(RECORDS)
    for name in set(RECORDS.names) - {"value"}:
        assert after[name].equals(before[name])


def test_text_that_has_a_name_like_a_key_and_is_no_json_goes_whole() -> None:
    found = redact_one({"endpoint": '{"email": "x@example.com", trunca', "prose": 'write "email" here'}, hashed=names("email"))
    assert found == {"endpoint": UNREADABLE_TEXT, "prose": 'write "email" here'}


def test_hashed_metric_is_removed_because_a_metric_is_a_number() -> None:
    found = redact_one({**EVENT, "metrics": {"salary": 1, "n": 2}, "attributes": {"salary": "1"}}, hashed=names("salary"))
    assert found["metrics"] == {"n": 2}
    assert found["attributes"] == {"salary": hashed("1")}


def test_endpoint_id_is_also_client_id_and_takes_the_key_with_it() -> None:
    document = {**EVENT, "client": {"client_id": "x@example.com"}}
    table = records_table([json.dumps(document).encode()], [b"shop/x@example.com"])
    found = redact_records(table, RedactRules(hashed=names("endpoint_id"), key=KEY))
    assert json.loads(found["value"][0].as_py())["client"] == {"client_id": hashed("x@example.com")}
    assert found["key"].to_pylist() == [None]
    kept = redact_records(table, RedactRules(hashed=names("email"), key=KEY))
    assert kept["key"].to_pylist() == [b"shop/x@example.com"], "other names leave the key"


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"removed": names("event_type")}, "event_type"),
        ({"removed": names("AppId")}, "AppId"),
        ({"hashed": names("event_timestamp"), "key": KEY}, "event_timestamp"),
        ({"hashed": names("attributes"), "key": KEY}, "attributes"),
        ({"hashed": names("sent_at"), "key": KEY}, "sent_at"),
        ({"hashed": names("facets"), "key": KEY}, "facets"),
        ({"hashed": names("email")}, "REDACT_KEY"),
        ({"hashed": names("e-mail"), "removed": names("EMail"), "key": KEY}, "email"),
        ({"hashed": names("endpoint_id"), "removed": names("client_id"), "key": KEY}, "clientid"),
        ({"removed": names("_-")}, "_-"),
        ({"removed": names("a\nb")}, "a"),
    ],
)
def test_rules_that_would_break_events_or_say_two_things_are_refused_by_name(rules: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        RedactRules(**rules)


# What must not be found anywhere, in whatever way it was sent.
SECRETS = ("seeded.person@example.com", "+4915112345678", "tok_51H8seeded")
REDACT = RedactRules(removed=names("token"), hashed=names("email", "phone", "Address", "endpoint_id"), key=KEY)


def seeded_values() -> list[bytes]:
    mail, phone, token = SECRETS
    private = {"email": mail, "Phone": [phone], "e_mail": {"home": mail}, "TOKEN": token}
    endpoint = json.dumps(
        {"Address": mail, "User": {"UserId": "u1", "UserAttributes": {"phone": [phone]}}, "Attributes": {"token": [token]}}
    )
    good = {**EVENT, "attributes": {"email": mail, "k": "v", "nested": json.dumps(json.dumps(private))}}
    with_endpoint = {**EVENT, "client_context": {"custom": {"endpoint": endpoint}}, "facets": {"x": [private]}, "unmapped": private}
    escaped = json.dumps({**EVENT, "attributes": {"email": mail}}).replace('"email"', '"\\u0065mail"')
    broken_text = {**EVENT, "attributes": {"raw": '{"email": "' + mail}}
    return [
        *(json.dumps(document).encode() for document in (good, with_endpoint, broken_text)),
        escaped.encode(),
        # Dead letters that can be read: their bytes are kept, redacted.
        json.dumps({"event_type": 7, "attributes": private}).encode(),
        json.dumps([private]).encode(),
        json.dumps({**EVENT, "event_timestamp": "soon", "client_context": {"custom": {"endpoint": endpoint}}}).encode(),
        json.dumps(json.dumps(private)).encode(),
        # Dead letters that cannot: only size and hash are kept.
        json.dumps(private).encode()[:-1],
        b'{"email":"%s","email":"%s"}' % (mail.encode(), phone.encode()),
        b"\xff" + json.dumps(private).encode(),
        json.dumps(private).encode() * 2,
        mail.encode(),
    ]


def landed_bytes(rules: RedactRules) -> tuple[bytes, pa.Table, pa.Table]:
    """Everything that would be written, without compression or dictionaries that could hide a text."""
    records = redact_records(records_table(seeded_values(), [SECRETS[0].encode()] * len(seeded_values())), rules)
    with duckdb.connect() as con:
        found = validate_batch(records, ValidateRules(1_000_000, keeps_unreadable=not rules.is_on))
        events = enrich_batch(con, found.parsed, EnrichRules(promoted_attributes=("email",)))
    buffer = io.BytesIO()
    for table in (events, found.dead):
        pq.write_table(table, buffer, compression="none", use_dictionary=False)
    return buffer.getvalue(), events, found.dead


def test_seeded_private_values_are_nowhere_in_events_or_dead_letters() -> None:
    landed, events, dead = landed_bytes(REDACT)
    assert [secret for secret in SECRETS if secret.encode() in landed] == []
    assert len(events) + len(dead) == len(seeded_values())
    assert dead["value"].null_count >= 4
    assert dead["value"].null_count < len(dead), "readable dead letters keep their redacted bytes"
    assert events["attribute_email"].to_pylist().count(hashed(SECRETS[0])) == 2


def test_without_redaction_the_same_values_are_found_control() -> None:
    landed, events, dead = landed_bytes(OFF)
    assert [secret for secret in SECRETS if secret.encode() in landed] == list(SECRETS)
    assert len(events) + len(dead) == len(seeded_values())


_SECRET = "S3CR3T-value"
_name = st.sampled_from(["email", "EMAIL", "e_mail", "E-Mail"])
_other = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6).filter(
    lambda name: fold_name(name) not in {"email", "clientid"}
)


def _spell(name: str, escaped: Sequence[bool]) -> str:
    return "".join(f"\\u{ord(letter):04x}" if is_escaped else letter for letter, is_escaped in zip(name, escaped, strict=False))


@st.composite
def _documents(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON text with the secret under spellings of the name only: nested, in lists, in text, with escapes and odd white space."""
    members = []
    for _ in range(draw(st.integers(1, 3))):
        space = draw(st.sampled_from(["", " ", "\n\t"]))
        if draw(st.booleans()):
            key = f'"{_spell(draw(_name), draw(st.lists(st.booleans(), min_size=6, max_size=6)))}"'
            value = json.dumps(draw(st.sampled_from([_SECRET, [_SECRET], {"a": _SECRET}, [[{"b": [_SECRET]}]]])))
        else:
            key = json.dumps(draw(_other), ensure_ascii=draw(st.booleans()))
            inner = draw(_documents(depth - 1)) if depth else '"plain"'
            value = json.dumps(inner) if depth and draw(st.booleans()) else f"[{inner}]"
        members.append((key, f"{key}{space}:{space}{value}"))
    unique = {json.loads(key): member for key, member in members}
    return "{" + ",".join(unique.values()) + "}"


@settings(max_examples=300, deadline=None)
@given(_documents())
def test_no_spelling_nesting_or_escape_lets_a_hashed_value_through(text: str) -> None:
    found = redact_records(records_table([text.encode()]), RedactRules(hashed=names("email"), key=KEY))["value"][0].as_py()
    assert _SECRET.encode() not in found
    if _SECRET not in text:
        assert json.loads(found) == json.loads(text)


@settings(max_examples=100, deadline=None)
@given(_documents())
def test_redaction_that_is_off_changes_no_byte(text: str) -> None:
    assert redact_records(records_table([text.encode()]), OFF)["value"].to_pylist() == [text.encode()]
