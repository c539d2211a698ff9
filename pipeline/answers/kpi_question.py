"""A KPI over days: its number and the one before, day by day or by a column."""

import datetime as dt
from dataclasses import replace
from typing import Any

from pipeline.answers.answer import Answer, note_running
from pipeline.answers.app_check import check_app
from pipeline.answers.change import Figure, Kind
from pipeline.answers.days import Days
from pipeline.answers.known_days import find_known_days
from pipeline.answers.kpi_names import Kpi, choose_column, find_kpi, load_kpis
from pipeline.answers.picture import Bars, Lines
from pipeline.answers.terminal_chart import draw_sparkline
from pipeline.ask.reader import Reader

# Of more groups a picture shows those with the most; --csv and --json have all.
GROUPS_SHOWN = 20
# A sum and what it is divided by; both are null where there is no row.
Parts = tuple[float | None, float | None]
# Of which period, day and group; None stands for all days or all groups.
Key = tuple[bool, dt.date | None, str | None]

_ASKED = """
select
    kpi_date >= $from::date as is_now,
    case when grouping(kpi_date) = 0 then kpi_date end as kpi_date,
    case when grouping(by_value) = 0 then coalesce(by_value, 'unknown') end as by_value,
    {numerator} as numerator,
    {denominator} as denominator
from (select *, {by}::varchar as by_value from {view})
-- One KPI, on the days asked for and those before them.
where kpi_name = $name and kpi_date between $before::date and $to::date and ($app::varchar is null or app_id = $app)
group by grouping sets ((is_now), (is_now, kpi_date), (is_now, by_value), (is_now, kpi_date, by_value))
"""


def ask_kpi(reader: Reader, name: str, days: Days, zone: str, by: str = "", app: str = "") -> Answer:
    """The answer to `headwater kpi NAME`.

    Raises UsageError for a name that is not there, for an app without events and for a --by that the KPI does not tell.
    """
    check_app(reader, app)
    kpi = find_kpi(name, load_kpis(reader))
    column = choose_column(reader, kpi, by)
    # By day is how a number without parts is shown anyway.
    column = None if column == "kpi_date" else column
    before = days.before()
    found = _ask(reader, kpi, column, days, before, app)
    figures = [Figure(kpi.meaning, _number(kpi, found, True), _number(kpi, found, False), kpi.kind, unit=kpi.unit_beside)]
    if kpi.denominator:
        for place, said in enumerate((kpi.numerator, kpi.denominator)):
            is_price = kpi.is_price and place == 0
            kind: Kind = "amount" if is_price else "count"
            unit = kpi.unit if is_price else ""
            figures.append(Figure(said, _part(found, True, place), _part(found, False, place), kind, unit=unit))
    known = find_known_days(reader, app)
    can_compare = known.can_compare(days, before)
    figures = [replace(figure, can_compare=can_compare) for figure in figures]
    columns, rows = _rows_by_column(kpi, found, column) if column else _rows_by_day(kpi, found, days, before)
    picture = replace(_bars(kpi, found, column, days, before), can_compare=can_compare) if column else _lines(kpi, rows, days, before)
    is_empty = not any(is_now for is_now, _, _ in found)
    notes = [*known.note(days, before), *(_note_empty(kpi) if is_empty and known.have(days) else []), *note_running(days)]
    return Answer(kpi.name, days, before, _define(kpi, zone), figures, columns, rows, picture, notes, is_empty)


def _note_empty(kpi: Kpi) -> list[str]:
    """Events there are on these days, none of this kind."""
    of = "messages" if kpi.of == "all" else "transactional messages" if kpi.of == "transactional" else f"messages of {kpi.of}"
    return [f"No {of} that it counts are known on these days."]


def _ask(reader: Reader, kpi: Kpi, column: str | None, days: Days, before: Days, app: str) -> dict[Key, Parts]:
    distinct = "count(distinct (app_id, endpoint_id))"
    sql = _ASKED.format(
        view=kpi.view,
        by=column or "null",
        numerator="sum(numerator)" if kpi.is_additive else distinct,
        denominator="sum(denominator)" if kpi.is_additive else "null::double",
    )
    given = {**days.texts, "before": str(before.first), "name": kpi.name, "app": app or None}
    return {(row[0], row[1], row[2]): (row[3] if kpi.is_price else _as_count(row[3]), _as_count(row[4])) for row in reader.rows(sql, given)}


def _as_count(part: float | None) -> float | None:
    """SQL adds up doubles; what is counted is whole, and written without a fraction."""
    return int(part) if part is not None and part == int(part) else part


def _number(kpi: Kpi, found: dict[Key, Parts], is_now: bool, day: dt.date | None = None, group: str | None = None) -> float | None:
    """The KPI of some days and groups: a count of nothing is 0, a share of nothing is none."""
    numerator, denominator = found.get((is_now, day, group), (None, None))
    if kpi.denominator:
        return None if not denominator else (numerator or 0.0) / denominator
    return numerator or 0


def _part(found: dict[Key, Parts], is_now: bool, place: int) -> float:
    return found.get((is_now, None, None), (None, None))[place] or 0


def _rows_by_day(kpi: Kpi, found: dict[Key, Parts], days: Days, before: Days) -> tuple[list[str], list[list[Any]]]:
    rows = []
    for number in range(days.length):
        day, day_before = days.first + dt.timedelta(days=number), before.first + dt.timedelta(days=number)
        numerator, denominator = found.get((True, day, None), (None, None))
        value, value_before = _number(kpi, found, True, day), _number(kpi, found, False, day_before)
        rows.append([day, numerator or 0, denominator or 0 if kpi.denominator else None, value, day_before, value_before])
    return ["kpi_date", "numerator", "denominator", "value", "date_before", "value_before"], rows


def _groups(found: dict[Key, Parts]) -> list[str]:
    """All groups of both periods, those with the most first."""
    groups = {group for _, day, group in found if day is None and group is not None}
    return sorted(groups, key=lambda group: (-(found.get((True, None, group), (0, 0))[0] or 0), group))


def _rows_by_column(kpi: Kpi, found: dict[Key, Parts], column: str) -> tuple[list[str], list[list[Any]]]:
    rows = []
    for group in _groups(found):
        numerator, denominator = found.get((True, None, group), (None, None))
        value, value_before = _number(kpi, found, True, None, group), _number(kpi, found, False, None, group)
        rows.append([group, numerator or 0, denominator or 0 if kpi.denominator else None, value, value_before])
    return [column, "numerator", "denominator", "value", "value_before"], rows


def _lines(kpi: Kpi, rows: list[list[Any]], days: Days, before: Days) -> Lines:
    return Lines(
        title=f"{kpi.name} by day",
        places=[f"{row[0]:%m-%d}" for row in rows],
        values=[row[3] for row in rows],
        before=[row[5] for row in rows],
        kind=kpi.kind,
        legend=(str(days), str(before)),
    )


def _bars(kpi: Kpi, found: dict[Key, Parts], column: str, days: Days, before: Days) -> Bars:
    groups = _groups(found)
    shown = groups[:GROUPS_SHOWN]
    every_day = [days.first + dt.timedelta(days=number) for number in range(days.length)]
    more = f", the first {GROUPS_SHOWN} of {len(groups)}: --csv has all" if len(groups) > GROUPS_SHOWN else ""
    return Bars(
        title=f"{kpi.name} by {column}{more}",
        names=shown,
        values=[_number(kpi, found, True, None, group) for group in shown],
        before=[_number(kpi, found, False, None, group) for group in shown],
        kind=kpi.kind,
        legend=(str(days), str(before)),
        sparks=[draw_sparkline([_number(kpi, found, True, day, group) for day in every_day]) for group in shown],
    )


def _define(kpi: Kpi, zone: str) -> dict[str, str]:
    said = {"counts": kpi.meaning, "messages": "all" if kpi.of == "all" else f"{kpi.of} only", "numerator": kpi.numerator}
    if kpi.denominator:
        said["denominator"] = kpi.denominator
    if kpi.delivered_as:
        said["delivered"] = kpi.delivered_as.replace("_", " ")
    if kpi.read_by:
        said["read by"] = kpi.read_by
    unit = "millicents, thousandths of a US cent" if kpi.is_price else kpi.unit
    return said | {"unit": unit, "clock": kpi.clock, "zone": f"{kpi.zone}: {zone}", "SQL": f"headwater views show {kpi.view}"}
