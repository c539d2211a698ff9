"""The rule of unusual shares, by which checks tell a bad day from an ordinary one."""

from datetime import date, timedelta

import pytest

from pipeline.config import load_settings
from tests.lake_rows import memory_lake

TODAY = date(2026, 11, 23)


def unusual(shares: dict[int, int]) -> list[tuple[object, ...]]:
    """What the macro says of days, each so many days before today with 100 events, of which so many are of the part."""
    days = ", ".join(
        f"{{'arrival_date': date '{TODAY - timedelta(days=ago)}', 'event_count': 100, 'part_count': {count}}}"
        for ago, count in shares.items()
    )
    with memory_lake(load_settings()) as con:
        return con.execute(f"select arrival_date, event_count, part_count, share, expected_share from unusual_share([{days}])").fetchall()


# Seven days of four in a hundred, then yesterday; today is not over and says nothing.
WEEK = {ago: 4 for ago in range(2, 9)} | {0: 99}


@pytest.mark.parametrize(("count", "is_found"), [(12, False), (13, True)])
def test_more_than_three_times_the_median_is_unusual(count: int, is_found: bool) -> None:
    found = [(TODAY - timedelta(days=1), 100, count, count / 100, 0.04)]
    assert unusual(WEEK | {1: count}) == (found if is_found else [])


def test_one_in_a_hundred_is_not_unusual_where_there_was_none_and_two_are() -> None:
    none = dict.fromkeys(WEEK, 0)
    assert unusual(none | {1: 1}) == []
    assert unusual(none | {1: 2}) == [(TODAY - timedelta(days=1), 100, 2, 0.02, 0.0)]


def test_with_less_than_a_week_nobody_knows_what_is_ordinary() -> None:
    assert unusual({ago: 4 for ago in range(2, 8)} | {0: 4, 1: 99}) == []
    assert len(unusual({ago: 4 for ago in range(2, 9)} | {0: 4, 1: 99})) == 1


def test_days_longer_than_four_weeks_ago_do_not_count() -> None:
    # The 28 days before yesterday are quiet; those before them were not.
    quiet, loud = dict.fromkeys(range(2, 30), 1), dict.fromkeys(range(30, 90), 50)
    assert unusual({0: 1, 1: 4} | quiet | loud) == [(TODAY - timedelta(days=1), 100, 4, 0.04, 0.01)]
