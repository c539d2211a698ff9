"""Types of event that steps name and that no event has: misspelt, or never sent."""

from collections.abc import Sequence

from pipeline.answers.macro_call import call_macro
from pipeline.ask.reader import Reader

_ASKED = """
with
wanted as (select distinct parse_step(step).event_type as event_type from (select unnest($steps) as step)),

-- Of any day: a type that came only later is not misspelt.
known as materialized (select distinct event_type from core.events where $app::varchar is null or app_id = $app)

select event_type, near_names(event_type, (select list(event_type order by event_type) from known))
from wanted
anti join known using (event_type)
-- Where no event has come at all, nothing can be said of a type.
where exists (from known)
order by event_type
"""


def note_unknown_types(reader: Reader, steps: Sequence[str], app: str) -> list[str]:
    """A note for each type, with the nearest that there are. It reads one column of all events: ask it of steps that nobody did."""
    if not steps:
        return []
    found = call_macro(reader, _ASKED, {"steps": list(steps), "app": app or None})
    of_app = f" of {app}" if app else ""
    return [
        f"No event{of_app} of type '{name}' has come, on whatever day; the nearest types are {', '.join(near)}." for name, near in found
    ]
