"""The step `redact`: values of chosen names are hashed or removed before anything else sees a record.

It comes first, so that events, dead letters and their kept bytes hold what this step let through and nothing more. What is
redacted, exactly, and what is not stands in agents/README.md.
"""

import functools
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.exact_json import Unreadable, parse_exactly, write_json
from agents.redact_names import build_pattern, fold_all, fold_name, load_shape
from schemas.errors import UsageError

# Put before a hash, so that a record that comes through a second time (a replayed dead letter) is not hashed twice.
HASH_PREFIX = "hmac-sha256:"
# What a text becomes that has a redacted name in it like a key, and is no JSON that could be looked into.
UNREADABLE_TEXT = "redacted"
_HASHED = re.compile(re.escape(HASH_PREFIX) + "[0-9a-f]{64}")
# A Kafka key is app_id/endpoint_id, or app_id/event_id (of an update app_id/update_id) without an endpoint.
_NAMES_IN_KEY = frozenset({"clientid", "endpointid", "eventid", "updateid"})
# The columns of a dead letter that an event can be valid without, and the folded names of what they are read from.
_NAMES_KNOWN = {"event_id": ("eventid",), "endpoint_id": ("endpointid", "clientid")}


@dataclass(frozen=True)
class RedactRules:
    """`removed` names lose their member, the values of `hashed` names become HMAC-SHA-256 under `key`.

    Names are those of JSON members at any depth; case, _ and - do not count (user_id is also UserId). endpoint_id means
    client_id too, which is what it is called in a record.

    Raises UsageError for a name that is empty or in both sets, for one that every event needs, for hashing what holds no text,
    and for hashing without a key.
    """

    removed: frozenset[str] = frozenset()
    hashed: frozenset[str] = frozenset()
    key: bytes = b""

    def __post_init__(self) -> None:
        if self.hashed and not self.key:
            raise UsageError("Names are to be hashed and there is no key; expected a secret in setting REDACT_KEY.")
        required, not_text = load_shape()
        for name in sorted(self.removed | self.hashed):
            if not fold_name(name) or any(ord(letter) < 32 for letter in name):
                raise UsageError(f"Redacted name {name!r} is no name; expected one such as email.")
            if fold_name(name) in required:
                raise UsageError(f"Name '{name}' is to be redacted, and no event is valid without it; leave it out.")
        for name in sorted(self.hashed):
            if fold_name(name) in not_text:
                raise UsageError(
                    f"Name '{name}' is to be hashed and does not hold text in a record; remove it instead, or hash what is in it."
                )
        for name in sorted(fold_all(self.removed) & fold_all(self.hashed)):
            raise UsageError(f"Name '{name}' is to be removed and to be hashed; decide on one.")

    @property
    def is_on(self) -> bool:
        return bool(self.removed or self.hashed)

    @functools.cached_property
    def actions(self) -> Mapping[str, bool]:
        """By folded name: whether its value is hashed (else removed)."""
        return dict.fromkeys(fold_all(self.removed), False) | dict.fromkeys(fold_all(self.hashed), True)

    @functools.cached_property
    def pattern(self) -> str:
        """Found, case ignored, in every text that may hold one of the names."""
        return build_pattern(self.actions)


def redact_records(records: pa.Table, rules: RedactRules) -> pa.Table:
    """Records (columns RECORDS) with their values redacted, in the same order; `value_bytes` and `_payload_hash` stay as received.

    Only records that may hold one of the names are parsed. One that cannot be parsed stays as it is: `validate` keeps its size and
    hash only while redaction is on. When endpoint ids or event ids are redacted the record's key, which holds them, becomes null.
    """
    if not rules.is_on or not len(records):
        return records
    values = records["value"]
    may_hold = pc.match_substring_regex(values, rules.pattern, ignore_case=True).fill_null(False)
    rows = np.flatnonzero(may_hold.to_numpy())
    if len(rows):
        redacted = pa.array([_redact_value(value, rules) for value in values.take(rows).to_pylist()], pa.binary())
        values = pc.replace_with_mask(values.combine_chunks(), may_hold.combine_chunks(), redacted)
        records = records.set_column(records.column_names.index("value"), records.schema.field("value"), values)
    if _NAMES_IN_KEY & rules.actions.keys():
        records = records.set_column(records.column_names.index("key"), records.schema.field("key"), pa.nulls(len(records), pa.binary()))
    return records


def redact_known(known: Mapping[str, Any], rules: RedactRules) -> dict[str, Any]:
    """What is known of a record beside its value (event_id, endpoint_id, ...), redacted as the members of these names are in it."""
    redacted = dict(known)
    for name, aliases in _NAMES_KNOWN.items():
        found = [rules.actions[alias] for alias in aliases if alias in rules.actions]
        if found and redacted.get(name) is not None:
            redacted[name] = hash_text(redacted[name], rules.key) if all(found) else None
    return redacted


def names_redacted(text: str, rules: RedactRules) -> bool:
    """Whether a text of somebody else's may quote a redacted value: one of the names stands in it, or an escape that may spell one."""
    folded = fold_name(text)
    return rules.is_on and ("\\u" in text or any(name in folded for name in rules.actions))


def hash_text(text: str, key: bytes) -> str:
    """`hmac-sha256:` and 64 hexadecimal digits; a text that is such a hash already is returned as it is."""
    if _HASHED.fullmatch(text):
        return text
    return HASH_PREFIX + hmac.digest(key, text.encode(), "sha256").hex()


def _redact_value(value: bytes, rules: RedactRules) -> bytes:
    try:
        document = parse_exactly(value)
    except Unreadable:
        return value
    redacted = _redact(document, rules)
    if isinstance(redacted, dict) and isinstance(document, dict):
        _redact_metrics(document, "metrics", redacted, rules)
        if isinstance(endpoint := redacted.get("endpoint"), dict):
            _redact_metrics(document["endpoint"], "Metrics", endpoint, rules)
    return value if redacted == document else msgspec.json.encode(redacted)


def _redact_metrics(found: dict[str, Any], name: str, redacted: dict[str, Any], rules: RedactRules) -> None:
    """Metrics are numbers, and a hash is none: there a hashed name is removed."""
    if isinstance(found.get(name), dict) and name in redacted:
        kept = {metric: number for metric, number in found[name].items() if fold_name(metric) not in rules.actions}
        redacted[name] = _redact(kept, rules)


def _redact(found: Any, rules: RedactRules) -> Any:
    if isinstance(found, str):
        return _redact_text(found, rules) if "{" in found or "\\u" in found else found
    if isinstance(found, dict):
        redacted, actions = {}, rules.actions
        for name, value in found.items():
            is_hashed = actions.get(fold_name(name))
            if is_hashed is None:
                redacted[name] = _redact(value, rules)
            elif is_hashed:
                redacted[name] = _hash(value, rules.key)
        return redacted
    if isinstance(found, list):
        return [_redact(element, rules) for element in found]
    return found


def _redact_text(text: str, rules: RedactRules) -> str:
    """A text that is JSON is redacted inside; anything else stays, unless a name stands in it like a key."""
    if not re.search(rules.pattern, text, re.IGNORECASE):
        return text
    try:
        inner = parse_exactly(text.encode())
    except Unreadable:
        return UNREADABLE_TEXT
    redacted = _redact(inner, rules)
    return text if redacted == inner else write_json(redacted)


def _hash(value: Any, key: bytes) -> Any:
    """Lists are hashed element by element, numbers by their text as sent, objects by their JSON; null stays null."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_hash(element, key) for element in value]
    return hash_text(value if isinstance(value, str) else write_json(value), key)
