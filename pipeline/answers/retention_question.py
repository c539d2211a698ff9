"""Retention over days: of those who started, the share that came back, by cohort and on the whole."""

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
from pipeline.answers.picture import Grid
from pipeline.ask.reader import Reader

# Of more cohorts a picture shows the last ones; --csv and --json have all.
COHORTS_SHOWN = 31
COLUMNS = ("cohort_date", "period_no", "period_date", "cohort_size", "returned_count", "rate", "is_complete")
_ASKED = f"""
select {", ".join(COLUMNS)}
from retention(
    $from, $to, app := $app, period := $period, start_event := $start, return_event := $return, kind := $kind, subject := $subject, today := $today
)
order by cohort_date, period_no
"""
Row = tuple[Any, ...]


@dataclass(frozen=True)
class RetentionAsked:
    """What `headwater retention` takes, as the macro does; app, start_event and return_event are empty for none."""

    period: str = "day"
    start_event: str = ""
    return_event: str = ""
    kind: str = "first_time"
    subject: str = "endpoint"
    app: str = ""


def ask_retention(reader: Reader, asked: RetentionAsked, days: Days, zone: str) -> Answer:
    """The answer to `headwater retention`.

    Raises UsageError, in the macro's words, for a step that cannot be read, names that no event has and the like; for an app without events.
    """
    check_app(reader, asked.app)
    before = days.before_in(asked.period)
    rows, rows_before = _ask(reader, asked, days), _ask(reader, asked, before)
    known = find_known_days(reader, asked.app)
    figures = [
        Figure(f"came back 1 {asked.period} later", _share(rows, 1), _share(rows_before, 1), "share"),
        *_figure_of_week(asked, rows, rows_before),
        Figure(f"{asked.subject}s that started", _size(rows), _size(rows_before)),
        Figure(f"of them, with the next {asked.period} over", _seen(rows, 1), _seen(rows_before, 1)),
        Figure("of these, came back in it", _returned(rows, 1), _returned(rows_before, 1)),
    ]
    can_compare = known.can_compare(days, before)
    figures = [replace(figure, can_compare=can_compare) for figure in figures]
    notes = [
        *note_unknown_types(reader, _unseen(asked, rows), asked.app),
        *_note_whole(asked, days),
        *known.note(days, before),
        *note_running(days),
    ]
    title = f"retention by {asked.period}"
    return Answer(title, days, before, _define(asked, zone), figures, COLUMNS, rows, _draw(asked, rows), notes)


def _ask(reader: Reader, asked: RetentionAsked, days: Days) -> list[Row]:
    given = {**days.texts, "today": str(days.today), "app": asked.app or None, "period": asked.period, "kind": asked.kind}
    steps = {"start": asked.start_event or None, "return": asked.return_event or None}
    return call_macro(reader, _ASKED, given | steps | {"subject": asked.subject})


def _note_whole(asked: RetentionAsked, days: Days) -> list[str]:
    """The macro begins with the whole period in which the first day lies."""
    first = days.begin_of(asked.period)
    return [f"The first {asked.period} counts whole, from {first} on."] if first < days.first else []


def _unseen(asked: RetentionAsked, rows: list[Row]) -> list[str]:
    """What nobody started with, or came back with."""
    unseen = [(asked.start_event, not rows), (asked.return_event, not any(row[4] for row in rows))]
    return [step for step, is_unseen in unseen if step and is_unseen]


def _figure_of_week(asked: RetentionAsked, rows: list[Row], rows_before: list[Row]) -> list[Figure]:
    """By day, the seventh is what people ask for too."""
    if asked.period != "day":
        return []
    return [Figure("came back 7 days later", _share(rows, 7), _share(rows_before, 7), "share")]


def _complete(rows: Sequence[Row], number: int) -> list[Row]:
    """One row a cohort: of a period that is not complete the share still grows."""
    return [row for row in rows if row[1] == number and row[6]]


def _share(rows: Sequence[Row], number: int) -> float | None:
    """All cohorts together, each by its size; none when no cohort has been seen for so long."""
    size = _seen(rows, number)
    return _returned(rows, number) / size if size else None


def _size(rows: Sequence[Row]) -> int:
    return sum(row[3] for row in rows if row[1] == 0)


def _seen(rows: Sequence[Row], number: int) -> int:
    """Of cohorts whose period of this number is over, all who started, back or not."""
    return sum(row[3] for row in _complete(rows, number))


def _returned(rows: Sequence[Row], number: int) -> int:
    return sum(row[4] for row in _complete(rows, number))


def _draw(asked: RetentionAsked, rows: list[Row]) -> Grid:
    dates = sorted({row[0] for row in rows})
    shown = dates[-COHORTS_SHOWN:]
    numbers = sorted({row[1] for row in rows if row[0] in set(shown)})
    found = {(row[0], row[1]): row for row in rows}
    sizes = {row[0]: row[3] for row in rows}
    more = f", the last {COHORTS_SHOWN} of {len(dates)} cohorts: --csv has all" if len(dates) > COHORTS_SHOWN else ""
    cells = [[found.get((date, number)) for number in numbers] for date in shown]
    means = [_share(rows, number) for number in numbers]
    return Grid(
        title=f"Share that came back, by {asked.period}s since the start{more}",
        rows=[*(f"{date} ({sizes[date]:,})" for date in shown), *(["all, complete only"] if shown else [])],
        columns=[str(number) for number in numbers],
        shares=[*([None if cell is None else cell[5] for cell in line] for line in cells), *([means] if shown else [])],
        is_complete=[*([cell is None or cell[6] for cell in line] for line in cells), *([[True] * len(numbers)] if shown else [])],
    )


def _define(asked: RetentionAsked, zone: str) -> dict[str, str]:
    start, back = (f"did {step}" if step else "did anything" for step in (asked.start_event, asked.return_event))
    first = ", for the first time ever" if asked.kind == "first_time" else ""
    return {
        "counts": f"of the {asked.subject}s that {start} in a {asked.period}{first}, those that {back} in a later one",
        "numerator": f"{asked.subject}s of the cohort that came back in the {asked.period}",
        "denominator": f"{asked.subject}s of the cohort; the figures above take only cohorts whose {asked.period} is complete",
        "clock": "when it happened (occurred_at)",
        "zone": f"the app's: {zone}",
        "SQL": "headwater views show retention",
    }
