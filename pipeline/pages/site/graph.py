"""What stands on what: edges of the library, walked up and down, as trees for a terminal and as a Mermaid flowchart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.tree import Tree

from pipeline.ask.layers import SETTINGS
from pipeline.ask.query_files import Definition

# What is read, and who reads it.
Edge = tuple[str, str]


def edges_of(definitions: Iterable[Definition]) -> list[Edge]:
    """Who reads or calls what; `settings` are read by many and stand on nothing."""
    return sorted({(used, one.name) for one in definitions for used in (*one.reads, *one.calls) if used != SETTINGS})


def walk_up(edges: Sequence[Edge], name: str) -> list[Edge]:
    """The edges on the ways to a name."""
    return [(other, one) for one, other in _walk(name, _by_end(edges, 1))]


def walk_down(edges: Sequence[Edge], name: str) -> list[Edge]:
    """The edges on the ways from a name."""
    return list(_walk(name, _by_end(edges, 0)))


def as_mermaid(edges: Sequence[Edge]) -> str:
    """A flowchart from left to right."""
    return "\n".join(["flowchart LR", *(f"    {source} --> {target}" for source, target in edges)])


def as_trees(edges: Sequence[Edge], name: str = "") -> list[Tree]:
    """Of a name two trees: what it stands on, and what stands on it. Without one, of each that reads nothing what stands on it."""
    sources, targets = _by_end(edges, 1), _by_end(edges, 0)
    if name:
        return [_grow(f"{name} reads", name, sources), _grow(f"{name} is read by", name, targets)]
    return [_grow(f"{one} is read by", one, targets) for one in sorted(set(targets) - set(sources))]


def _by_end(edges: Sequence[Edge], end: int) -> dict[str, list[str]]:
    """The other ends of the edges with this source (0) or target (1)."""
    found: dict[str, list[str]] = {}
    for edge in edges:
        found.setdefault(edge[end], []).append(edge[1 - end])
    return found


def _walk(name: str, others: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Pairs (one, other), the nearest first, all the way; each once."""
    seen, waiting = {name}, [name]
    while waiting:
        one = waiting.pop(0)
        for other in others.get(one, ()):
            yield one, other
            if other not in seen:
                seen.add(other)
                waiting.append(other)


def _grow(label: str, name: str, others: Mapping[str, Sequence[str]]) -> Tree:
    """A branch that is there already is not grown a second time."""
    root = Tree(label)
    branches = {name: root}
    for one, other in _walk(name, others):
        is_known = other in branches and bool(others.get(other))
        branch = branches[one].add(f"{other} ..." if is_known else other)
        branches.setdefault(other, branch)
    return root
