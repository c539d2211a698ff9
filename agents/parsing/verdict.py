"""Verdicts: why records did not become events, and the dead letters made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schemas.records import DEAD, Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the record of a row is a dead letter, and what could be read of it (ids as text, event_timestamp in ms)."""

    row: int
    reason: Reason
    error: str
    known: dict[str, Any] = field(default_factory=dict)
    is_readable: bool = True
    keeps_large: bool = False
    """What was received is no larger than others, only what would become of it is."""


def build_dead_letters(verdicts: Sequence[Verdict], records: pa.RecordBatch, keeps_unreadable: bool) -> pa.Table:
    """The rows of DEAD for these records (columns RECORDS), in the order of their rows.

    What is too large keeps no value, but where it was small as received; what could not be read keeps value and key only when `keeps_unreadable`.
    """
    verdicts = sorted(verdicts, key=lambda verdict: verdict.row)
    found = records.take(pa.array([verdict.row for verdict in verdicts], pa.int32()))
    keeps_key = [verdict.is_readable or keeps_unreadable for verdict in verdicts]
    keeps_value = [
        keeps and (verdict.reason is not Reason.TOO_LARGE or verdict.keeps_large)
        for keeps, verdict in zip(keeps_key, verdicts, strict=True)
    ]
    nothing = pa.scalar(None, pa.binary())
    columns = {name: found.column(name) for name in found.schema.names}
    columns["reason"] = pa.array([verdict.reason.value for verdict in verdicts], pa.string())
    columns["error"] = pa.array([verdict.error for verdict in verdicts], pa.string())
    columns["value"] = pc.if_else(pa.array(keeps_value, pa.bool_()), found.column("value"), nothing)
    columns["key"] = pc.if_else(pa.array(keeps_key, pa.bool_()), found.column("key"), nothing)
    for name in ("event_id", "event_type", "app_id", "endpoint_id"):
        columns[name] = pa.array([verdict.known.get(name) for verdict in verdicts], pa.string())
    columns["event_timestamp"] = pa.array([verdict.known.get("event_timestamp") for verdict in verdicts], pa.timestamp("ms", tz="UTC"))
    return pa.table({name: columns[name] for name in DEAD.names}).cast(DEAD)
