"""What the worker's own steps would say of fixed values: redacted as they would be, then landed or a dead letter again."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from agents.decode_avro import decode_values, find_avro
from agents.endpoint_rows import validate_updates
from agents.endpoint_steps import EndpointRules
from agents.event_steps import EventRules, read_records
from agents.flush_report import FlushReport
from agents.redact import redact_records
from pipeline.config import Settings
from pipeline.endpoint_stream import build_endpoint_rules
from pipeline.event_stream import build_event_rules
from schemas.records import RECORDS


@dataclass(frozen=True)
class FixedLetter:
    """A fixed value as it may be sent, Avro as Avro. `reason` and `error` say why it would be a dead letter again, both None when it would land.

    `value` and `key` are redacted where redaction is on; `value` is None for what redaction cannot look into: that is never sent.
    """

    value: bytes | None
    key: bytes | None
    reason: str | None
    error: str | None


class Verdicts:
    """Runs avro, redact and validate with the rules of this shell's settings, which should be the workers' own."""

    def __init__(self, settings: Settings) -> None:
        self._of_events: EventRules = build_event_rules(settings)
        self._of_updates: EndpointRules = build_endpoint_rules(settings)

    def judge(
        self, values: Sequence[bytes], keys: Sequence[bytes | None], origins: Sequence[str], are_updates: bool = False
    ) -> list[FixedLetter]:
        """A verdict on each value, in their order: as an event, or as an update of an endpoint.

        Raises UnavailableError when a schema registry is needed and does not answer.
        """
        records = _as_records(values, keys, origins)
        rules: EventRules | EndpointRules
        if are_updates:
            rules = self._of_updates
            sent = redact_records(records, rules.redact)
            dead = validate_updates(sent, rules.validate, rules.client_address).dead
        else:
            rules = self._of_events
            read = read_records(records, rules, FlushReport())
            dead = read.validated.dead
            # What is redacted can only be sent as JSON.
            sent = read.redacted if rules.redact.is_on else records
        verdicts: dict[int, dict[str, Any]] = {row["_offset"]: row for row in dead.to_pylist()}
        fixed = []
        for row, (value, key) in enumerate(zip(sent["value"].to_pylist(), sent["key"].to_pylist(), strict=True)):
            verdict = verdicts.get(row)
            is_unread = verdict is not None and not rules.validate.keeps_unreadable and verdict["value"] is None
            fixed.append(
                FixedLetter(None if is_unread else value, key, *((verdict["reason"], verdict["error"]) if verdict else (None, None)))
            )
        return fixed

    def show(self, letters: pa.Table) -> pa.Table:
        """Dead letters (columns of the table) as a fix sees them: Avro that can be decoded as the JSON that it says.

        Raises UnavailableError as `judge` does.
        """
        values = letters["value"].combine_chunks()
        rows = find_avro(values, np.ones(len(values), np.bool_))
        if not len(rows):
            return letters
        shown = values.to_pylist()
        found = decode_values(values.take(pa.array(rows)), self._of_events.avro, self._of_events.validate.message_bytes_max)
        for row, document in zip(rows.tolist(), found, strict=True):
            if isinstance(document, bytes):
                shown[row] = document
        place = letters.column_names.index("value")
        return letters.set_column(place, letters.schema.field("value"), pa.array(shown, letters.schema.field("value").type))


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
