"""What the worker's own steps would say of fixed values: redacted as they would be, then landed or a dead letter again."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import xxhash

from agents.endpoint_rows import validate_updates
from agents.endpoint_steps import EndpointRules
from agents.event_steps import EventRules
from agents.redact import redact_records
from agents.validate import validate_batch
from pipeline.config import Settings
from pipeline.endpoint_stream import build_endpoint_rules
from pipeline.event_stream import build_event_rules
from schemas.records import RECORDS


@dataclass(frozen=True)
class FixedLetter:
    """A fixed value as it may be sent. `reason` and `error` say why it would be a dead letter again, both None when it would land.

    `value` and `key` are redacted where redaction is on; `value` is None for what redaction cannot look into: that is never sent.
    """

    value: bytes | None
    key: bytes | None
    reason: str | None
    error: str | None


class Verdicts:
    """Runs redact and validate with the rules of this shell's settings, which should be the workers' own."""

    def __init__(self, settings: Settings) -> None:
        self._of_events: EventRules = build_event_rules(settings)
        self._of_updates: EndpointRules = build_endpoint_rules(settings)

    def judge(
        self, values: Sequence[bytes], keys: Sequence[bytes | None], origins: Sequence[str], are_updates: bool = False
    ) -> list[FixedLetter]:
        """A verdict on each value, in their order: as an event, or as an update of an endpoint."""
        rules = self._of_updates if are_updates else self._of_events
        redacted = redact_records(_as_records(values, keys, origins), rules.redact)
        if are_updates:
            dead = validate_updates(redacted, rules.validate, self._of_updates.client_address).dead
        else:
            dead = validate_batch(redacted, rules.validate).dead
        verdicts: dict[int, dict[str, Any]] = {row["_offset"]: row for row in dead.to_pylist()}
        fixed = []
        for row, (value, key) in enumerate(zip(redacted["value"].to_pylist(), redacted["key"].to_pylist(), strict=True)):
            verdict = verdicts.get(row)
            is_unread = verdict is not None and not rules.validate.keeps_unreadable and verdict["value"] is None
            fixed.append(
                FixedLetter(None if is_unread else value, key, *((verdict["reason"], verdict["error"]) if verdict else (None, None)))
            )
        return fixed


def _as_records(values: Sequence[bytes], keys: Sequence[bytes | None], origins: Sequence[str]) -> pa.Table:
    """The values as the worker would consume them; `_offset` is the row."""
    now = dt.datetime.now(dt.UTC)
    hashes = [xxhash.xxh3_64_intdigest(value) for value in values]
    columns = {
        "value": pa.array(values, pa.binary()),
        "value_bytes": pa.array([len(value) for value in values], pa.int64()),
        "key": pa.array(keys, pa.binary()),
        "origin": pa.array(origins, pa.string()),
        "_topic_id": pa.array(["replay"] * len(values), pa.string()),
        "_partition": pa.array([0] * len(values), pa.int32()),
        "_offset": pa.array(range(len(values)), pa.int64()),
        "_appended_at": pa.array([now] * len(values), pa.timestamp("us", tz="UTC")),
        "_payload_hash": pa.array([digest - (1 << 64) if digest >= 1 << 63 else digest for digest in hashes], pa.int64()),
    }
    return pa.table([columns[name] for name in RECORDS.names], schema=RECORDS)
