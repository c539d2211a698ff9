"""What is looked for: an event id, and how it stands in what could not be read."""

import datetime as dt
import functools
import json
import re
from dataclasses import dataclass

# The id of an event that was sent without one: topic id/partition/offset.
_PLACE = re.compile(r"([A-Za-z0-9_-]{22})/(\d{1,9})/(\d{1,18})")
_WORD = "A-Za-z0-9_-"


@dataclass(frozen=True)
class Wanted:
    """An event id; only of this app and only from this moment of append on, where they are given."""

    event_id: str
    app_id: str | None = None
    since: dt.datetime | None = None

    @functools.cached_property
    def place(self) -> tuple[str, int, int] | None:
        """(topic id, partition, offset) when the id is one that derives from where the record was."""
        found = _PLACE.fullmatch(self.event_id)
        return (found[1], int(found[2]), int(found[3])) if found else None

    @functools.cached_property
    def pattern(self) -> str:
        """Regular expression that finds the id in bytes as a word of its own, spelt as it is or as JSON spells it, or as Avro writes it."""
        spellings = "|".join(re.escape(spelling) for spelling in sorted(self.spellings))
        # Avro puts its length before it, doubled; that of a longer id ends in a byte that is no letter.
        size = len(self.event_id.encode(errors="replace"))
        as_avro = f"|{re.escape(chr(size * 2) + self.event_id)}" if size < 64 else ""
        return f"(?:^|[^{_WORD}])(?:{spellings})(?:$|[^{_WORD}]){as_avro}"

    @functools.cached_property
    def spellings(self) -> frozenset[str]:
        return frozenset([self.event_id, *(json.dumps(self.event_id, ensure_ascii=is_ascii)[1:-1] for is_ascii in (False, True))])
