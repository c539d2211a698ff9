"""KPIs of transactional e-mails over one small lake, every number worked out by hand."""

from datetime import date

import pytest

from pipeline.config import load_settings
from tests.kpi_rows import Said, kpi_totals
from tests.lake_rows import at
from tests.message_rows import RUN, ask, mail

SCANNER = "Mozilla/5.0 (compatible; Barracuda Sentinel (EE))"
# Ann has m1: delivered, opened twice by her and once by a scanner, clicked twice on one link, complained of.
ANN = [
    mail("send"),
    mail("delivered", 1),
    mail("open", 9, SCANNER),
    mail("open", 60),
    mail("open", 90),
    mail("click", 95),
    mail("click", 99),
]
ANN += [mail("complaint", 200)]
# And m2: delivered, opened by the scanner alone, which clicked once.
ANN += [mail("send", message_id="m2"), mail("delivered", 1, message_id="m2"), mail("open", 9, SCANNER, message_id="m2")]
ANN += [mail("click", 9, SCANNER, message_id="m2")]
# m3 to m6 are four other endpoints': bounced hard, bounced softly, softly and delivered after all, rejected.
FATES = {"m3": ["hardbounce"], "m4": ["softbounce"], "m5": ["softbounce", "delivered"], "m6": ["rejected"]}
OTHERS = [
    mail(kind, 10 + place, message_id=message_id, endpoint_id=f"mail-{message_id}")
    for message_id, kinds in FATES.items()
    for place, kind in enumerate(["send", *kinds])
]
# m7 could not be written and was not sent; what a campaign and a journey send is not transactional.
NOT_COUNTED = [mail("rendering_failure", message_id="m7"), mail("send", **RUN), mail("open", 60, **RUN)]
NOT_COUNTED += [mail("send", journey_id="j1", journey_run_id="r1", journey_activity_id="a1")]
LAKE = [*ANN, *OTHERS, *NOT_COUNTED]

EXPECTED: dict[str, Said] = {
    "sent": (6, None),  # m1 to m6
    "delivered": (2, None),  # m1, m2: 6 less a hard bounce, two soft ones, a rejection; m5 bounced, whatever came of it
    "opened": (2, None),  # m1, m2, each once
    "clicked": (3, None),  # two of m1, one of m2
    "hard-bounced": (1, None),
    "soft-bounced": (2, None),  # m4, m5
    "with-complaints": (1, None),
    "unique-opens": (1, None),  # both messages are mail-1's
    "unique-clicks": (1, None),
    "delivery-rate": (2, 6),
    "complaint-rate": (1, 6),
    "opened-by-people": (1, None),  # m1; m2 only by the scanner
    "clicked-by-people": (2, None),
    "delivered-reported": (3, None),  # m1, m2, m5
}


@pytest.mark.parametrize(("kpi", "said"), EXPECTED.items())
def test_kpi_of_transactional_mails_is_what_a_person_counts(kpi: str, said: Said) -> None:
    assert TOTALS[f"txn-emails-{kpi}"] == said
    if f"txn-emails-{kpi}-grouped-by-date" in TOTALS:
        assert TOTALS[f"txn-emails-{kpi}-grouped-by-date"] == said


def test_no_kpi_is_left_out() -> None:
    assert {name.removeprefix("txn-emails-").removesuffix("-grouped-by-date") for name in TOTALS} == set(EXPECTED)


def test_machine_opens_are_people_s_when_the_rule_is_off() -> None:
    off = kpi_totals("txn_email_kpis", LAKE, load_settings(machine_opens_enabled=False))
    # On: m1, and two clicks. Off: m1 and m2, three clicks. Pinpoint's names counted everybody and stay.
    assert off["txn-emails-opened-by-people"] == (2, None) != TOTALS["txn-emails-opened-by-people"]
    assert off["txn-emails-clicked-by-people"] == (3, None) != TOTALS["txn-emails-clicked-by-people"]
    assert off["txn-emails-opened"] == TOTALS["txn-emails-opened"]


def test_open_of_a_week_later_counts_on_the_day_of_its_message() -> None:
    events = [mail("send"), mail("open", 8 * 86_400)]
    sql = "select kpi_date, numerator from kpis.txn_email_kpis where kpi_name = 'txn-emails-opened-grouped-by-date'"
    assert ask(sql, events) == [(date(2026, 11, 23), 1)]


@pytest.mark.parametrize(
    ("minutes", "day"),
    [
        # 2026-03-29 in Berlin begins at 23:00 UTC and, an hour being skipped, ends at 22:00 UTC.
        pytest.param(-1, date(2026, 3, 28), id="before"),
        pytest.param(0, date(2026, 3, 29), id="its first moment"),
        pytest.param(23 * 60 - 1, date(2026, 3, 29), id="its last minute"),
        pytest.param(23 * 60, date(2026, 3, 30), id="exactly its end"),
    ],
)
def test_day_of_a_message_is_the_app_s_also_when_clocks_change(minutes: float, day: date) -> None:
    # 2026-03-28 23:00 UTC is 239 days and 13 hours before the noon that the tests count from.
    sent = mail("send", event_timestamp=at(minutes - 13 * 60, days=-239))
    berlin = load_settings(app_zones={"shop": "Europe/Berlin"})
    sql = "select kpi_date from kpis.txn_email_kpis where kpi_name = 'txn-emails-sent'"
    assert sent["event_timestamp"].isoformat()[:10] in {"2026-03-28", "2026-03-29"}
    assert ask(sql, [sent], berlin) == [(day,)]


def test_same_send_told_twice_at_one_moment_is_one_message() -> None:
    assert kpi_totals("txn_email_kpis", [mail("send"), mail("send")])["txn-emails-sent"] == (1, None)


def test_message_to_no_endpoint_is_sent_and_reaches_nobody() -> None:
    totals = kpi_totals("txn_email_kpis", [mail("open", 60, endpoint_id=None)])
    assert totals["txn-emails-opened"] == (1, None)
    assert "txn-emails-unique-opens" not in totals


def test_empty_lake_has_no_days() -> None:
    assert ask("from kpis.txn_email_kpis", []) == []


TOTALS = kpi_totals("txn_email_kpis", LAKE)
