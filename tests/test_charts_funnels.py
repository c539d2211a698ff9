"""The funnel of one's own steps that queries/README.md shows to dashboards: it is run as it stands there."""

import re
from datetime import UTC, datetime, timedelta

from pipeline.ask.layers import FOLDER
from tests.lake_rows import event, purchase
from tests.message_rows import ask


def test_the_funnel_of_the_page_is_a_row_a_step_with_its_share() -> None:
    (sql,) = re.findall(r"```sql\n(-- One row per step .*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    # Four open the app, two of them add to the cart, one buys within the week.
    events = [event(endpoint_id=who, event_type="_session.start", event_timestamp=yesterday) for who in "abcd"]
    events += [event(endpoint_id=who, event_type="cart.add", event_timestamp=yesterday + timedelta(minutes=1)) for who in "ab"]
    events += [purchase(1, endpoint_id="a", event_timestamp=yesterday + timedelta(minutes=2))]
    assert ask(f"select * from ({sql}) order by 1", events) == [
        (1, "_session.start", 4, 4, 1),
        (2, "cart.add", 2, 4, 0.5),
        (3, "_monetization.purchase", 1, 4, 0.25),
    ]
    assert [row[2] for row in ask(f"select * from ({sql}) order by 1", [])] == [0, 0, 0]
