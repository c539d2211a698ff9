"""Moments that people give to a command."""

from datetime import UTC, datetime

import pytest

from pipeline.moments import parse_moment
from schemas.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25", datetime(2026, 11, 25, tzinfo=UTC)),
        ("2026-11-25T01:00", datetime(2026, 11, 25, 1, tzinfo=UTC)),
        ("2026-11-25T01:00+03:00", datetime(2026, 11, 24, 22, tzinfo=UTC)),
        ("2026-11-24T22:00-05:00", datetime(2026, 11, 25, 3, tzinfo=UTC)),
    ],
)
def test_a_moment_is_in_utc_whatever_zone_it_was_given_in(text: str, expected: datetime) -> None:
    found = parse_moment("--since", text)
    assert found is not None
    # The folder that holds it is that of its day in UTC.
    assert (found, found.date()) == (expected, expected.date())


def test_what_is_no_moment_is_named_with_its_option() -> None:
    assert parse_moment("--since", "") is None
    with pytest.raises(UsageError, match=r"Option '--since' is 'yesterday'; expected a moment in ISO 8601"):
        parse_moment("--since", "yesterday")
