"""Clocks that are wrong: what the sender's clock showed when it sent is held against when the collector received it."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.fit import MS_MAX, MS_MIN

CORRECTED = ("event_timestamp", "session_start_timestamp", "session_stop_timestamp")
AS_SENT = "event_timestamp_as_sent"
# What an import carries was received long ago, by a collector whose clock is not known.
_IMPORT = "import:"
_TIME = pa.timestamp("us", tz="UTC")


def correct_clocks(columns: Mapping[str, pa.Array], secs_min: float) -> dict[str, pa.Array]:
    """The columns CORRECTED and AS_SENT of these events; nothing when no clock is wrong, as most often.

    Reads these columns, sent_at, received_at and source. Times of an event are shifted by received_at - sent_at when that is more than
    `secs_min` either way, all of them or none: a time that would leave the years that a column takes leaves the event as it is.
    """
    sent_at, received_at = columns["sent_at"], columns["received_at"]
    if sent_at.null_count == len(sent_at) or received_at.null_count == len(received_at):
        return {}
    behind = pc.subtract(received_at.cast(pa.int64()), sent_at.cast(pa.int64()))
    rows = np.flatnonzero(pc.greater(pc.abs(behind), round(secs_min * 1e6)).fill_null(False).to_numpy(zero_copy_only=False))
    if not len(rows):
        return {}
    shifted = {name: pc.add(columns[name].take(rows).cast(pa.int64()), behind.take(rows)) for name in CORRECTED}
    is_wanted = pc.invert(pc.starts_with(columns["source"].take(rows), _IMPORT).fill_null(False))
    for values in shifted.values():
        is_within = pc.and_(pc.greater_equal(values, MS_MIN * 1000), pc.less_equal(values, MS_MAX * 1000))
        is_wanted = pc.and_(is_wanted, is_within.fill_null(True))
    rows = rows[is_wanted.to_numpy(zero_copy_only=False)]
    is_corrected = np.zeros(len(sent_at), np.bool_)
    is_corrected[rows] = True
    mask = pa.array(is_corrected)
    found = {name: pc.replace_with_mask(columns[name], mask, values.filter(is_wanted).cast(_TIME)) for name, values in shifted.items()}
    return found | {AS_SENT: pc.if_else(mask, columns["event_timestamp"], pa.scalar(None, _TIME))}
