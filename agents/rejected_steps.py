"""The steps of the landing stream of what the collector refused: each record is one dead letter, and none is an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from agents.dedup.window import NewKeys
from agents.flush_report import FlushReport
from agents.ingest import Stepped
from agents.land import Range
from agents.parsing.exact_json import Unreadable, parse_counted
from agents.parsing.verdict import Verdict, build_dead_letters
from agents.redact import RedactRules, names_redacted, redact_known, redact_records
from agents.rejected_envelope import NoEnvelope, Refusal, read_envelope
from schemas.records import DEAD, Reason
from schemas.tables import load_table

Reading = Refusal | NoEnvelope | Unreadable

_LEFT_OUT = "The collector refused it; its words are left out, since they may quote what redaction keeps back."


@dataclass(frozen=True)
class RejectedRules:
    """`message_bytes_max`: what was refused and is larger keeps no bytes. While `redact` is on, what cannot be read keeps nothing."""

    redact: RedactRules
    message_bytes_max: int


class NoWindows:
    """The dedup windows of a stream without any: dead letters are not told apart. Implements agents.ingest.StreamWindows."""

    key_count = 0
    memory_bytes = 0
    covered_secs = 0.0

    def assign(self, topic_id: str, starts: Mapping[int, int], partition_count: int) -> None:
        """Nothing is remembered of a partition."""

    def add(self, one: Range, keys: NewKeys | None) -> None:
        """Nothing is learned of what has landed."""


class RejectedSteps:
    """Makes dead letters of envelopes, and of what is none. Implements agents.ingest.Steps; runs in one thread."""

    def __init__(self, rules: RejectedRules) -> None:
        self.rules, self.windows = rules, NoWindows()

    def run(self, records: pa.Table, ranges: Sequence[Range], report: FlushReport) -> Stepped:
        return Stepped(load_table("events").arrow.empty_table(), unwrap_batch(records, self.rules, report), {})


def unwrap_batch(records: pa.Table, rules: RejectedRules, report: FlushReport) -> pa.Table:
    """One row of DEAD for each of the records (columns RECORDS), in their order.

    Value and size are those of what was refused; position, key and hash those of the record. A record that is no envelope is
    itself what is kept, with the reason that says why.
    """
    if not len(records):
        return DEAD.empty_table()
    with report.stage("unwrap"):
        readings = [_read(value or b"") for value in records["value"].to_pylist()]
        verdicts = [_judge(row, reading, size, rules) for row, (reading, size) in enumerate(zip(readings, _sizes(records), strict=True))]
        refused = _take_out(records, readings)
    with report.stage("redact"):
        refused = redact_records(refused, rules.redact)
        verdicts = [replace(verdict, known=redact_known(verdict.known, rules.redact)) for verdict in verdicts]
    (batch,) = refused.combine_chunks().to_batches()
    return build_dead_letters(verdicts, batch, keeps_unreadable=not rules.redact.is_on)


def _read(value: bytes) -> Reading:
    try:
        return read_envelope(value)
    except (NoEnvelope, Unreadable) as error:
        return error


def _take_out(records: pa.Table, readings: Sequence[Reading]) -> pa.Table:
    """The records with what was refused in place of its envelope."""
    values, sizes = records["value"].to_pylist(), records["value_bytes"].to_pylist()
    for row, reading in enumerate(readings):
        if isinstance(reading, Refusal):
            values[row], sizes[row] = reading.value, reading.value_bytes
    for name, column in {"value": pa.array(values, pa.binary()), "value_bytes": pa.array(sizes, pa.int64())}.items():
        records = records.set_column(records.column_names.index(name), records.schema.field(name), column)
    return records


def _sizes(records: pa.Table) -> list[int]:
    sizes: list[int] = records["value_bytes"].to_pylist()
    return sizes


def _judge(row: int, reading: Reading, size: int, rules: RejectedRules) -> Verdict:
    """Why the record of a row is a dead letter; `size` is that of its own value."""
    if isinstance(reading, Refusal):
        return _judge_refusal(row, reading, rules)
    if size > rules.message_bytes_max:
        return Verdict(row, Reason.TOO_LARGE, _too_large("The message", size, rules), is_readable=False)
    error = reading.bare_error if rules.redact.is_on else reading.error
    if isinstance(reading, Unreadable):
        return Verdict(row, reading.reason, error, is_readable=False)
    return Verdict(row, reading.reason, error, dict(reading.known), is_readable=not reading.is_veiled)


def _judge_refusal(row: int, refusal: Refusal, rules: RejectedRules) -> Verdict:
    size = len(refusal.value or b"")
    is_readable = not rules.redact.is_on or _is_object(refusal.value)
    error = refusal.error if is_readable and not names_redacted(refusal.error, rules.redact) else _LEFT_OUT
    if size > rules.message_bytes_max:
        error = f"{_too_large('What was refused', size, rules)} It was refused as {refusal.reason}: {error}"
        return Verdict(row, Reason.TOO_LARGE, error, dict(refusal.known), is_readable=False)
    return Verdict(row, refusal.reason, error, dict(refusal.known), is_readable)


def _is_object(value: bytes | None) -> bool:
    """Whether redaction can look into it."""
    try:
        return value is not None and isinstance(parse_counted(value), dict)
    except Unreadable:
        return False


def _too_large(what: str, size: int, rules: RejectedRules) -> str:
    return f"{what} has {size} bytes; expected at most {rules.message_bytes_max} (setting MESSAGE_BYTES_MAX)."
