"""KPIs of journeys' e-mails over one small lake, every number worked out by hand."""

from datetime import datetime
from typing import Any

import pytest

from tests.kpi_rows import BERLIN, CLOCK_CHANGES, Said, days_around, kpi_totals, moments_around
from tests.lake_rows import Row
from tests.message_rows import RUN, ask, mail, text

WELCOME: dict[str, Any] = {"journey_id": "j1", "journey_run_id": "r1", "journey_activity_id": "welcome"}
REMIND = WELCOME | {"journey_activity_id": "remind"}


def sent(endpoint_id: str, activity: dict[str, Any], *kinds: str) -> list[Row]:
    """The send to an endpoint, and what followed, ten seconds after each other."""
    return [mail(kind, 10 * place, endpoint_id=endpoint_id, **activity) for place, kind in enumerate(("send", *kinds))]


# Welcome: ann reads (two opens, two clicks on one link), unsubscribes twice and complains; ben's bounces softly; cid's bounces hard; dan's is rejected.
LAKE = [
    *sent("ann", WELCOME, "delivered", "open", "open", "click", "click", "unsubscribe", "unsubscribe", "complaint"),
    *sent("ben", WELCOME, "softbounce"),
    *sent("cid", WELCOME, "hardbounce"),
    *sent("dan", WELCOME, "rejected"),
    # Remind: ann's is opened by a machine only, four seconds after the send; ben's is delivered.
    *sent("ann", REMIND, "delivered"),
    mail("open", 4, endpoint_id="ann", **REMIND),
    *sent("ben", REMIND, "delivered"),
    # Not of a journey, or no e-mail.
    mail("send"),
    mail("send", **RUN),
    text("SUCCESS", 1, 645.0, **WELCOME),
]

# Of both activities, and of welcome and remind: 6 = 4 + 2 sent, and so on.
EXPECTED: dict[str, tuple[float, float, float]] = {
    "sent": (6, 4, 2),
    "delivered": (3, 1, 2),
    "opened": (2, 1, 1),
    "clicked": (2, 2, 0),
    "hardbounced": (1, 1, 0),
    "softbounced": (1, 1, 0),
    "complained": (1, 1, 0),
    "rejected": (1, 1, 0),
    "unsubscribed": (2, 2, 0),
    "opened-by-people": (1, 1, 0),
    "clicked-by-people": (2, 2, 0),
    "delivered-reported": (3, 1, 2),
}


def test_each_kpi_of_journeys_is_what_a_person_counts() -> None:
    found = kpi_totals("journey_kpis", LAKE)
    expected: dict[str, Said] = {f"journey-emails-{kpi}": (counts[0], None) for kpi, counts in EXPECTED.items()}
    expected |= {f"emails-{kpi}-grouped-by-journey-activity": (counts[0], None) for kpi, counts in list(EXPECTED.items())[:9]}
    assert found == expected


def test_each_kpi_by_activity_is_what_a_person_counts() -> None:
    sql = """
        select kpi_name, journey_id, max(numerator) filter (journey_activity_id = 'welcome'), max(numerator) filter (journey_activity_id = 'remind')
        from kpis.journey_kpis where kpi_name like '%-activity' group by all
    """
    found = {name: (journey, welcome, remind) for name, journey, welcome, remind in ask(sql, LAKE)}
    assert found == {f"emails-{kpi}-grouped-by-journey-activity": ("j1", *counts[1:]) for kpi, counts in list(EXPECTED.items())[:9]}


def test_same_events_twice_at_one_moment_add_clicks_and_unsubscribes_and_nothing_else() -> None:
    found = kpi_totals("journey_kpis", [*LAKE, *LAKE])
    # Messages are counted, but for clicks and unsubscribes, which were two of each.
    twice = {"clicked": 4, "clicked-by-people": 4, "unsubscribed": 4}
    assert {kpi: found[f"journey-emails-{kpi}"] for kpi in EXPECTED} == {
        kpi: (twice.get(kpi, counts[0]), None) for kpi, counts in EXPECTED.items()
    }


@pytest.mark.parametrize(("first", "hours"), CLOCK_CHANGES)
def test_day_on_which_clocks_change_has_what_was_sent_on_it(first: datetime, hours: int) -> None:
    # Four runs of the journey; each e-mail is clicked in twice an hour later, which on the day's last millisecond is the next day.
    runs = [
        WELCOME | {"journey_run_id": f"r{number}", "event_timestamp": moment} for number, moment in enumerate(moments_around(first, hours))
    ]
    events = [mail(kind, secs, **run) for run in runs for kind, secs in (("send", 0), ("click", 3600), ("click", 3601))]
    sql = "select kpi_date, sum(numerator) from kpis.journey_kpis where kpi_name = 'journey-emails-{}' group by 1 order by 1"
    assert ask(sql.format("sent"), events, BERLIN) == days_around(first, 1, 2)
    assert ask(sql.format("clicked"), events, BERLIN) == days_around(first, 2, 4)


def test_empty_lake_has_no_days() -> None:
    assert ask("from kpis.journey_kpis", []) == []
