"""The name that was meant by one that is not there."""

import difflib
from collections.abc import Collection


def hint(name: str, known: Collection[str]) -> str:
    """ " Did you mean ...?" with the nearest name, whatever its case; nothing when none is near."""
    lowered = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), sorted(lowered), n=1, cutoff=0.5)
    return f" Did you mean '{lowered[close[0]]}'?" if close else ""
