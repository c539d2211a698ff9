"""What stands on what, as a picture: where each box goes, and an SVG of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fast_sugiyama import from_edges

from pipeline.pages.site.catalog import Catalog
from pipeline.pages.site.graph import Edge

# Pixels: a box, and what is left between two of a column and between columns.
BOX_WIDTH, BOX_HEIGHT = 250, 24
ROW_GAP, COLUMN_GAP = 10, 60
MARGIN = 8


class Box(NamedTuple):
    """A view, macro or table at its left upper corner."""

    name: str
    x: float
    y: float


class Line(NamedTuple):
    """From the right side of what is read to the left side of who reads it."""

    source: str
    target: str
    path: str


class Picture(NamedTuple):
    """Boxes and lines within so many pixels."""

    boxes: Sequence[Box]
    lines: Sequence[Line]
    width: float
    height: float


def draw_lineage(catalog: Catalog, names: Iterable[str]) -> Picture:
    """These and the lines between them, from left to right; what is read stands left of who reads it."""
    wanted = list(dict.fromkeys(names))
    edges = [
        (source, name) for name in wanted if name in catalog.entries for source in catalog.entries[name].reads if source in set(wanted)
    ]
    places = _place(wanted, edges)
    boxes = [Box(name, x, y) for name, (x, y) in places.items()]
    lines = [Line(source, target, _curve(places[source], places[target])) for source, target in edges]
    width = max(box.x for box in boxes) + BOX_WIDTH + MARGIN
    return Picture(boxes, lines, width, max(box.y for box in boxes) + BOX_HEIGHT + MARGIN)


def _place(names: Sequence[str], edges: Sequence[Edge]) -> Mapping[str, tuple[float, float]]:
    """Columns and the order within them as the layout has them, in which few lines cross; what has no line stands in the first."""
    numbers = {name: number for number, name in enumerate(names)}
    found = from_edges([(numbers[source], numbers[target]) for source, target in edges]).to_dict() if edges else {}  # type: ignore[no-untyped-call]
    depths = {y: depth for depth, y in enumerate(sorted({y for _, y in found.values()}))}
    if edges and found[numbers[edges[0][0]]][1] > found[numbers[edges[0][1]]][1]:
        # Who reads lies below what is read: turned round.
        depths = {y: len(depths) - 1 - depth for y, depth in depths.items()}
    columns: dict[int, list[str]] = {}
    for name in names:
        columns.setdefault(depths[found[numbers[name]][1]] if numbers[name] in found else 0, []).append(name)
    tallest = max(len(column) for column in columns.values())
    places = {}
    for depth, column in columns.items():
        column.sort(key=lambda name: (found.get(numbers[name], (0.0, 0.0))[0], name))
        top = MARGIN + (tallest - len(column)) * (BOX_HEIGHT + ROW_GAP) / 2
        for row, name in enumerate(column):
            places[name] = (MARGIN + depth * (BOX_WIDTH + COLUMN_GAP), top + row * (BOX_HEIGHT + ROW_GAP))
    return places


def _curve(source: tuple[float, float], target: tuple[float, float]) -> str:
    x1, y1, x2, y2 = source[0] + BOX_WIDTH, source[1] + BOX_HEIGHT / 2, target[0], target[1] + BOX_HEIGHT / 2
    bend = max(COLUMN_GAP / 2, (x2 - x1) / 2)
    return f"M{x1:.0f},{y1:.0f} C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f} {x2:.0f},{y2:.0f}"
