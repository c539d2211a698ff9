"""What became of an event, or an update of an endpoint: everything that the lake and Kafka know of its id, and what that means."""

from dataclasses import dataclass, field

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.landed import Landed, read_landed
from pipeline.stores import build_store
from pipeline.topology import ENDPOINT_UPDATES, LANDING_STREAMS, topic_name
from pipeline.trace.kafka_search import Bounds, Look, Match, look_through_kafka, match_event, match_refused, match_update
from pipeline.trace.lake_search import Row, find_dead_letters, find_events, find_first_copy, find_replays, find_updates
from pipeline.trace.view_search import ViewSearch
from pipeline.trace.wanted import Wanted
from schemas.errors import UnavailableError
from schemas.records import Reason
from schemas.tables import load_table
from sinks.dead_letter_replays import DeadLetterReplays
from sinks.lake import LakeTable

# What can be said of an event, and the exit status of each; the first that holds decides.
LANDED, DEAD_LETTER, DUPLICATE, WAITING, NOT_SEEN, NOT_FOUND = "landed", "dead letter", "duplicate", "waiting", "not seen", "not found"
STATUSES = {LANDED: 0, DEAD_LETTER: 3, DUPLICATE: 4, WAITING: 5, NOT_SEEN: 6, NOT_FOUND: 7}

# How an event, or an update, is told among the records of a landing stream, by the name of its steps.
_MATCHES: dict[str, Match] = {"events": match_event, "rejected": match_refused, "endpoints": match_update}


@dataclass
class Trace:
    """Everything that was found of an event's id, or an update's. `not found`: not seen, and not everything could be looked at (`looked`, `kafka_error`)."""

    event_id: str
    events: list[Row] = field(default_factory=list)
    updates: list[Row] = field(default_factory=list)
    dead_letters: list[Row] = field(default_factory=list)
    looked: Look = field(default_factory=Look)
    kafka_error: str | None = None

    @property
    def is_update(self) -> bool:
        """Whether all that was found is of an endpoint's updates."""
        others = [*self.dead_letters, *self.looked.waiting]
        return not self.events and bool(self.updates or others) and all(one["topic"].endswith(ENDPOINT_UPDATES.name) for one in others)

    @property
    def answers(self) -> list[str]:
        kinds = {DUPLICATE if row["reason"] == Reason.DUPLICATE else DEAD_LETTER for row in self.dead_letters}
        found = [LANDED] * bool(self.events or self.updates) + [kind for kind in (DEAD_LETTER, DUPLICATE) if kind in kinds]
        found += [WAITING] * bool(self.looked.waiting)
        return found or [NOT_SEEN if self.looked.is_whole and not self.kafka_error else NOT_FOUND]


def trace_event(settings: Settings, wanted: Wanted, bounds: Bounds) -> Trace:
    """Look for an event, or an update of an endpoint, in the lake, then in what Kafka holds behind it.

    Raises UnavailableError when the store does not answer; that Kafka does not is part of the answer.
    """
    store = build_store(settings, is_reader=True)
    events, updates = LakeTable(store, load_table("events")), LakeTable(store, load_table("endpoint_updates"))
    dead_letters = LakeTable(store, load_table("dead_letters"))
    trace, landed = Trace(wanted.event_id), list[Landed]()
    # These tables first: a dead letter is committed before the rows beside it.
    for table, rows, find in ((events, trace.events, find_events), (updates, trace.updates, find_updates)):
        if table.exists():
            table.refresh()
            landed += read_landed(table.name, table.transactions())
            rows.extend(find(table, wanted))
    if dead_letters.exists():
        dead_letters.refresh()
        trace.dead_letters = find_dead_letters(dead_letters, wanted)
    topics = {one.position.topic_id: one.topic for one in landed}
    for row in (*trace.events, *trace.updates, *trace.dead_letters):
        row["topic"] = topics.get(row["_topic_id"]) or row.get("topic") or ""
    _add_replays(DeadLetterReplays(store), trace)
    _add_views(settings, trace)
    _look_behind(settings, landed, wanted, bounds, trace)
    return trace


def _add_replays(replays: DeadLetterReplays, trace: Trace) -> None:
    """What a dead letter is a duplicate of, and whether it was replayed."""
    found = find_replays(replays, trace.dead_letters)
    for row in trace.dead_letters:
        first = find_first_copy(row, [*trace.events, *trace.updates])
        row["duplicate_of"] = place_of(first) if first else None
        replay = found.get((row["_topic_id"], row["_partition"], row["_offset"]))
        row["replay"] = None
        if replay:
            place = f"{replay['topic']}/{replay['sent_partition']}/{replay['sent_offset']}" if replay["replayed_at"] else None
            row["replay"] = {"sent_as": place, "sent_at": replay["replayed_at"]}


def _add_views(settings: Settings, trace: Trace) -> None:
    if not (trace.events or trace.updates or trace.dead_letters):
        return
    with open_reader(settings) as reader:
        views = ViewSearch(reader)
        found = (
            (trace.events, "staging.events"),
            (trace.updates, "staging.endpoint_updates"),
            (trace.dead_letters, "staging.dead_letters"),
        )
        for rows, source in found:
            for row in rows:
                shown = views.find(row, source)
                row["views"], row["not_in_views"] = shown.views, shown.missing


def _look_behind(settings: Settings, landed: list[Landed], wanted: Wanted, bounds: Bounds, trace: Trace) -> None:
    topics = {topic_name(settings, stream.topic): _MATCHES[stream.steps] for stream in LANDING_STREAMS}
    try:
        look = look_through_kafka(settings, topics, landed, wanted, bounds)
    except UnavailableError as error:
        trace.kafka_error = str(error)
        return
    # Dead letters are committed before the events beside them: such a record is known already.
    known = {(row["_topic_id"], row["_partition"], row["_offset"]) for row in trace.dead_letters}
    look.waiting = [one for one in look.waiting if (one["topic_id"], one["partition"], one["offset"]) not in known]
    trace.looked = look


def place_of(row: Row) -> str:
    """topic/partition/offset of a row."""
    return f"{row['topic']}/{row['_partition']}/{row['_offset']}"
