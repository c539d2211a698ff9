"""A funnel over days: how many came how far, how long it took them, and the days before."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.answers.answer import Answer, note_running
from pipeline.answers.app_check import check_app
from pipeline.answers.change import Figure
from pipeline.answers.days import Days
from pipeline.answers.event_types import note_unknown_types
from pipeline.answers.known_days import find_known_days
from pipeline.answers.macro_call import call_macro
from pipeline.answers.picture import Bars
from pipeline.ask.reader import Reader
from pipeline.moments import Now, now_utc

# Of more values of a breakdown a picture shows those that most began with; --csv and --json have all.
VALUES_SHOWN = 10
_ASKED = """
select by_value, step_no, step, subject_count, rate_from_first, rate_from_previous, median_secs_from_previous, median_secs_from_first
from funnel($steps, $from, $to, app := $app, within := $within, "by" := $by, order_by := $order, subject := $subject)
order by by_value nulls last, step_no
"""


# Whether an attempt that began at the end of the last day may still get further.
_UNFINISHED = """
select ((cast($to as date) + 1)::timestamp at time zone app_zone($app)) + check_interval($within, 'within') > cast($now as timestamptz)
"""


@dataclass(frozen=True)
class FunnelAsked:
    """What `headwater funnel` takes, as the macro does; app and by are empty for none."""

    steps: Sequence[str]
    within: str = "1 day"
    by: str = ""
    order: str = "strict"
    subject: str = "endpoint"
    app: str = ""


def ask_funnel(reader: Reader, asked: FunnelAsked, days: Days, zone: str, clock: Now = now_utc) -> Answer:
    """The answer to `headwater funnel`, asked at the moment of `clock`.

    Raises UsageError, in the macro's words, for steps that cannot be read, names that no event has and the like; for an app without events.
    """
    check_app(reader, asked.app)
    before = days.before()
    now, then = _ask(reader, asked, days, asked.by), _ask(reader, asked, before, asked.by)
    # Of all values together: a breakdown's medians do not add up.
    whole, whole_before = (_ask(reader, asked, days, ""), _ask(reader, asked, before, "")) if asked.by else (now, then)
    known = find_known_days(reader, asked.app)
    can_compare = known.can_compare(days, before)
    first, last, last_before = whole[0], whole[-1], whole_before[-1]
    figures = [
        Figure(f"converted: step {last[1]} of step 1", last[4], last_before[4], "share"),
        Figure(f"{asked.subject}s at step 1", first[3], whole_before[0][3]),
        Figure(f"{asked.subject}s at step {last[1]}", last[3], last_before[3]),
        Figure("median time to convert", last[7], last_before[7], "seconds"),
    ]
    figures = [replace(figure, can_compare=can_compare) for figure in figures]
    counts = {(row[0], row[1]): row[3] for row in then}
    columns = ["by_value", "step_no", "step", "subject_count", "rate_from_first", "rate_from_previous"]
    columns += ["median_secs_from_previous", "median_secs_from_first", "subject_count_before"]
    rows = [[*row, counts.get((row[0], row[1]), 0)] for row in now]
    picture = _draw_values(asked, rows, days, before) if asked.by else _draw_steps(rows, days, before)
    picture = replace(picture, can_compare=can_compare)
    unseen = note_unknown_types(reader, [row[2] for row in whole if not row[3]], asked.app)
    notes = [*unseen, *known.note(days, before), *note_running(days), *_note_unfinished(reader, asked, days, clock), *_drops(whole)]
    return Answer(f"funnel {' > '.join(asked.steps)}", days, before, _define(asked, zone), figures, columns, rows, picture, notes)


def _ask(reader: Reader, asked: FunnelAsked, days: Days, by: str) -> list[tuple[Any, ...]]:
    given = {**days.texts, "steps": list(asked.steps), "app": asked.app or None, "within": asked.within}
    return call_macro(reader, _ASKED, given | {"by": by or None, "order": asked.order, "subject": asked.subject})


def _note_unfinished(reader: Reader, asked: FunnelAsked, days: Days, clock: Now) -> list[str]:
    """Attempts have `within` from their beginning on: those of the last days may not be over when the days are."""
    given = {"to": str(days.last), "app": asked.app or None, "within": asked.within, "now": clock().isoformat()}
    ((is_unfinished,),) = call_macro(reader, _UNFINISHED, given)
    return [f"Attempts of the last days may still get further, they have {asked.within}: a fall may only be that."] if is_unfinished else []


def _draw_steps(rows: list[list[Any]], days: Days, before: Days) -> Bars:
    return Bars(
        title="Who came how far",
        names=[f"{row[1]} {row[2]}" for row in rows],
        values=[row[3] for row in rows],
        before=[row[8] for row in rows],
        kind="count",
        legend=(str(days), str(before)),
    )


def _draw_values(asked: FunnelAsked, rows: list[list[Any]], days: Days, before: Days) -> Bars:
    """All steps of the values that most began with."""
    began = sorted((row for row in rows if row[1] == 1), key=lambda row: (-row[3], str(row[0])))
    shown = [row[0] for row in began[:VALUES_SHOWN]]
    ordered = [row for value in shown for row in rows if row[0] == value]
    more = f", the first {VALUES_SHOWN} of {len(began)}: --csv has all" if len(began) > VALUES_SHOWN else ""
    return Bars(
        title=f"Who came how far, by {asked.by}{more}",
        names=[f"{'unknown' if row[0] is None else row[0]}: {row[1]} {row[2]}" for row in ordered],
        values=[row[3] for row in ordered],
        before=[row[8] for row in ordered],
        kind="count",
        legend=(str(days), str(before)),
    )


def _drops(rows: list[tuple[Any, ...]]) -> list[str]:
    """Where most were lost."""
    lost = [(before[3] - row[3], row, before) for before, row in itertools.pairwise(rows) if before[3] > row[3]]
    if not lost:
        return []
    count, row, before = max(lost, key=lambda one: one[0])
    return [f"Most are lost before step {row[1]}, {row[2]}: {count:,} of {before[3]:,}."]


def _define(asked: FunnelAsked, zone: str) -> dict[str, str]:
    order = "in this order" if asked.order == "strict" else "in any order"
    return {
        "counts": f"{asked.subject}s that did the steps {order} within {asked.within} of the first, once each, by the attempt that got furthest",
        "numerator": f"{asked.subject}s that reached the step",
        "denominator": f"{asked.subject}s that reached step 1 on one of the days",
        "clock": "when it happened (occurred_at); a later step may lie after the last day",
        "zone": f"the app's: {zone}",
        "SQL": "headwater views show funnel",
    }
