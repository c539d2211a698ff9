"""What the lake says of every partition that was ever landed: read from its transactions alone."""

import re
from collections import defaultdict
from dataclasses import dataclass

from agents.incarnation import find_incarnations
from agents.land import Gap, Position

_APP_ID = re.compile(r"^(?P<table>[^/]+)/(?P<topic_id>[^/]+)/(?P<partition>\d+)(?P<suffix>(/.*)?)$")


@dataclass(frozen=True)
class Landed:
    """A partition as the lake accounts for it: offsets [first, wanted), of which `records` were records and `holes` held none.

    `has_ended`: another topic took its topic's place, and what had not landed by then is lost.
    """

    position: Position
    topic: str
    has_ended: bool
    first: int
    wanted: int
    records: int
    holes: int
    gaps: tuple[Gap, ...]

    @property
    def gap_count(self) -> int:
        """Offsets that were gone before they were read."""
        return sum(gap.end - gap.start for gap in self.gaps)


def read_landed(table: str, transactions: dict[str, int]) -> list[Landed]:
    """Every partition that `table` has landed, by topic id and number."""
    found: dict[Position, dict[str, int]] = defaultdict(dict)
    for app_id, version in transactions.items():
        match = _APP_ID.match(app_id)
        if match and match["table"] == table:
            found[Position(match["topic_id"], int(match["partition"]))][match["suffix"]] = version
    topics = {topic_id: (topic, has_ended) for topic_id, topic, has_ended in find_incarnations(table, transactions)}
    landed = [_landed(position, *topics.get(position.topic_id, ("", False)), values) for position, values in found.items() if "" in values]
    return sorted(landed, key=lambda one: (one.position.topic_id, one.position.partition))


def _landed(position: Position, topic: str, has_ended: bool, values: dict[str, int]) -> Landed:
    numbers = range(1, values.get("/gaps", 0) + 1)
    gaps = tuple(Gap(position, values[f"/gap/{number}/start"], values[f"/gap/{number}/end"]) for number in numbers)
    first, records, holes = (values.get(suffix, 0) for suffix in ("/first", "/records", "/holes"))
    return Landed(position, topic, has_ended, first, values[""], records, holes, gaps)
