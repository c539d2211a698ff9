"""Which topic a name stands for: one that is deleted and made anew has the same name, another id, and offsets from 0 again.

The table remembers it in application transactions: `<table>/topic/<name>` counts the topics that it has seen under a name, and
`<table>/<topic id>/incarnation/<name>` says which of them a topic is. Those before the last have ended: what of them had not
landed is lost, and nobody can say any more how much that was. So a topic that was made anew while no worker ran shows, too.
"""

from collections.abc import Callable, Iterator, Mapping


def plan_incarnation(table: str, topic: str, topic_id: str, committed: Callable[[str], int | None]) -> dict[str, int]:
    """Transactions that make `topic_id` the present topic of its name; none when it is already. `committed` looks one up."""
    count, own = committed(f"{table}/topic/{topic}") or 0, committed(f"{table}/{topic_id}/incarnation/{topic}")
    if own is not None and own == count:
        return {}
    return {f"{table}/topic/{topic}": count + 1, f"{table}/{topic_id}/incarnation/{topic}": count + 1}


def is_replacement(planned: Mapping[str, int]) -> bool:
    """True when what was planned puts a topic in the place of another."""
    return max(planned.values(), default=1) > 1


def find_incarnations(table: str, transactions: Mapping[str, int]) -> Iterator[tuple[str, str, bool]]:
    """(topic id, topic name, has ended) of every topic that `table` has seen."""
    for app_id, own in transactions.items():
        owner, _, rest = app_id.partition("/")
        topic_id, _, rest = rest.partition("/")
        kind, _, topic = rest.partition("/")
        if owner == table and kind == "incarnation":
            yield topic_id, topic, own < transactions.get(f"{table}/topic/{topic}", own)
