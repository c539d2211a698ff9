"""`headwater trace`: what became of an event, or of an update of an endpoint."""

import datetime as dt
import re
from typing import Any

import typer

from pipeline.config import load_settings
from pipeline.moments import parse_moment
from pipeline.report import as_shown_text, print_figures, print_json
from pipeline.trace.kafka_search import Bounds
from pipeline.trace.run import STATUSES, Trace, place_of, trace_event
from pipeline.trace.wanted import Wanted
from schemas.errors import UsageError

app = typer.Typer()

# topic/partition/offset, as `dead-letters list` prints it.
_POSITION = re.compile(r"[\w.-]+/\d+/\d+")


@app.command()
def trace(
    event_id: str = typer.Argument(
        help="The id of an event or of an update of an endpoint; of one that was sent without, topic id/partition/offset."
    ),
    app_id: str = typer.Option("", "--app", help="Only of this app: ids are unique to an app and endpoint at best."),
    since: str = typer.Option("", help="Only what was appended at this moment (ISO 8601, UTC) or later; fewer files are read."),
    kafka_bytes: int = typer.Option(256_000_000, min=0, help="Look through at most so many bytes of what has not landed yet."),
    kafka_secs: float = typer.Option(20.0, min=0, help="Look through it at most so long."),
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON: event_id, answers, events, updates, dead_letters, waiting, looked, kafka_error."
    ),
) -> None:
    """Say what became of an event, or of an update of an endpoint: where it landed, why it is a dead letter, what it is a duplicate of, or that it waits in Kafka.

    All that holds is said, of everything that has the id. Exit status: 0 it landed; 3 it is a dead letter; 4 nothing but a duplicate of it was
    found; 5 Kafka holds it, it has not landed yet; 6 it was not seen; 7 it was not found, and not everything could be looked at.
    """
    if not event_id.strip():
        raise UsageError(f"Argument 'EVENT_ID' is '{event_id}'; expected the id of an event, for example order-9.")
    wanted = Wanted(event_id, app_id or None, parse_moment("--since", since))
    found = trace_event(load_settings(), wanted, Bounds(kafka_bytes, kafka_secs))
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    raise typer.Exit(STATUSES[found.answers[0]])


def _as_json(found: Trace) -> dict[str, Any]:
    look = found.looked
    return {
        "event_id": found.event_id,
        "answers": found.answers,
        "events": found.events,
        "updates": found.updates,
        "dead_letters": found.dead_letters,
        "waiting": look.waiting,
        "looked": {"records": look.records, "value_bytes": look.value_bytes, "bound": look.bound, "not_looked_at": look.not_looked_at},
        "kafka_error": found.kafka_error,
    }


def _print(found: Trace) -> None:
    for row in found.events:
        print_figures(_event_figures(row), title="Landed")
    for row in found.updates:
        print_figures(_update_figures(row), title="Landed")
    for row in found.dead_letters:
        print_figures(_dead_letter_figures(row), title="Duplicate" if row["reason"] == "duplicate" else "Dead letter")
    for one in found.looked.waiting:
        figures = {
            "record": f"{one['topic']}/{one['partition']}/{one['offset']}",
            "appended": _moment(one["appended_at"]),
            "app, type": _join(one["app_id"], one["event_type"]),
        }
        if not one["is_readable"]:
            figures["but"] = "no id can be read of it; the id stands in its bytes"
        if one["refused"]:
            figures["refused"] = f"by the collector, {one['refused']}: it becomes a dead letter"
        print_figures(_shown(figures), title="In Kafka, not landed yet")
    print(as_shown_text(_summary(found)))
    # A topic id in front makes it the id of an event that was sent without one.
    is_position = _POSITION.fullmatch(found.event_id) and Wanted(found.event_id).place is None
    if is_position and not (found.events or found.updates or found.dead_letters):
        print(
            f"This looks like a position: 'headwater dead-letters show {found.event_id}' takes it. The id of an event that was sent without one "
            "begins with the topic's id, which 'headwater audit' shows."
        )


def _event_figures(row: dict[str, Any]) -> dict[str, Any]:
    figures = {
        "record": place_of(row),
        "app, endpoint, type": _join(row["app_id"], row["endpoint_id"], row["event_type"]),
        "endpoint's clock": _clock(row),
        "arrival": _moment(row["arrival_timestamp"]),
        "appended": _moment(row["_appended_at"]),
        "table, version": f"events, {_version(row)}",
        "file": row["file"],
        "shown by": ", ".join(row["views"]),
    }
    return _shown(figures | {f"not by {view}": why for view, why in row["not_in_views"].items()})


def _update_figures(row: dict[str, Any]) -> dict[str, Any]:
    figures = {
        "record": place_of(row),
        "app, endpoint, operation": _join(row["app_id"], row["endpoint_id"], row["operation"]),
        "user": row["user_id"],
        "arrival": _moment(row["arrival_timestamp"]),
        "appended": _moment(row["_appended_at"]),
        "table, version": f"endpoint_updates, {_version(row)}",
        "file": row["file"],
        "shown by": ", ".join(row["views"]),
    }
    return _shown(figures | {f"not by {view}": why for view, why in row["not_in_views"].items()})


def _clock(row: dict[str, Any]) -> str | None:
    corrected, sent = _moment(row["event_timestamp"]), _moment(row["event_timestamp_as_sent"])
    return f"{corrected}, corrected; sent as {sent}" if sent else corrected


def _dead_letter_figures(row: dict[str, Any]) -> dict[str, Any]:
    figures = {
        "record": place_of(row),
        "reason": row["reason"],
        "error": row["error"],
        "app, endpoint, type": _join(row["app_id"], row["endpoint_id"], row["event_type"]),
        "appended": _moment(row["_appended_at"]),
        "table, version": f"dead_letters, {_version(row)}",
        "file": row["file"],
        "shown by": ", ".join(row["views"]),
    }
    if row["event_id"] is None:
        figures["found by"] = "its place, or its bytes, in which the id stands: no id could be read"
    if row["duplicate_of"]:
        figures["duplicate of"] = row["duplicate_of"]
    if row["origin"]:
        figures["replay of"] = row["origin"]
    if row["replay"]:
        sent_as, sent_at = row["replay"]["sent_as"], _moment(row["replay"]["sent_at"])
        figures["replayed"] = f"as {sent_as}, {sent_at}" if sent_as else "begun, and not known to have ended"
    elif row["reason"] != "duplicate":
        figures["replayed"] = "no"
    return _shown(figures)


def _version(row: dict[str, Any]) -> str:
    if row["version"] is None:
        return "not known: the log no longer says"
    exactness = "" if row["is_version_exact"] else "at or before "
    return f"{exactness}{row['version']}" + (f", committed {_moment(row['committed_at'])}" if row["committed_at"] else "")


def _summary(found: Trace) -> str:
    look = found.looked
    said = [f"{'Update' if found.is_update else 'Event'} '{found.event_id}': {', '.join(found.answers)}."]
    if found.kafka_error:
        said.append(f"What Kafka holds was not looked at: {found.kafka_error}")
    else:
        said.append(f"Looked through {look.records:,} records that have not landed yet.")
    if look.bound:
        left = ", ".join(f"[{start}, {end}) of {topic}/{partition}" for topic, partition, start, end in look.not_looked_at)
        said.append(f"Stopped at {look.bound}: offsets {left} were not looked at.")
    return " ".join(said)


def _moment(moment: dt.datetime | None) -> str | None:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def _join(*values: Any) -> str:
    return ", ".join("-" if value is None else str(value) for value in values)


def _shown(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: as_shown_text(value) for name, value in figures.items()}
