"""KPIs of journeys' e-mails over one small lake, every number worked out by hand."""

from typing import Any

from tests.kpi_rows import Said, kpi_totals
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


def test_empty_lake_has_no_days() -> None:
    assert ask("from kpis.journey_kpis", []) == []
