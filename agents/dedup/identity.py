"""What makes two rows of a landing table the same, and how that is put to the dedup window: by the parts that an event's key has."""

from dataclasses import dataclass

import pyarrow as pa

from agents.dedup.partitioner import lower_texts

_TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Identity:
    """The columns that play the parts of a key beside app_id and endpoint_id: which one (`item_id`), and what kind of thing (`kind`).

    `has_clock`: the sender's own time, event_timestamp, is a part too, and endpoint ids differ by their case. Without it there is none, and
    case does not count. `noun` is what a row is.
    """

    noun: str
    item_id: str
    kind: str
    has_clock: bool

    @property
    def parts(self) -> str:
        """The columns of the key, for people."""
        names = ["app_id", "endpoint_id", self.item_id, self.kind, *(["event_timestamp"] if self.has_clock else [])]
        return f"{', '.join(names[:-1])} and {names[-1]}"

    def as_key_table(self, rows: pa.Table) -> pa.Table:
        """Rows with their key under the names that `hash_events` knows, and _appended_at; those of events as they are."""
        if self.has_clock:
            return rows
        columns = {
            "app_id": rows["app_id"],
            "endpoint_id": lower_texts(rows["endpoint_id"]),
            "event_id": rows[self.item_id],
            "event_type": rows[self.kind],
            "event_timestamp": pa.repeat(pa.scalar(0, _TIME), len(rows)),
            "_appended_at": rows["_appended_at"],
        }
        return pa.table(columns)

    def name_known(self, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
        """What a dead letter of these rows says under names that the rows do not have."""
        if self.has_clock:
            return {}
        return {"event_id": rows[self.item_id], "event_type": rows[self.kind], "event_timestamp": pa.nulls(len(rows), _TIME)}


EVENTS = Identity("event", "event_id", "event_type", has_clock=True)
ENDPOINT_UPDATES = Identity("update", "update_id", "operation", has_clock=False)
