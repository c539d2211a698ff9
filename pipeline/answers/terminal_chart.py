"""Pictures of answers as text: lines by plotille, bars and grids by rich; the same text in a terminal and in a pipe, which has no colours."""

import math
from collections.abc import Sequence

from plotille import Canvas
from plotille import Figure as Plot
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.answers.change import Figure, Kind, write_number
from pipeline.answers.picture import Bars, Grid, Lines, Picture
from pipeline.report import as_shown_text

HEIGHT = 8
# Shares near to all have a line for each 10 %, the last for all itself.
_SHARE_STEP, _SHARE_HEIGHT = 0.1, 11
# Left of the canvas plotille writes so many letters, right of it an arrow and the axis' name.
_LEFT, _RIGHT = 13, 8
_TICK = 10
# A sparkline has at most so many columns of dots, two a letter.
_SPARK_DOTS = 40


def draw_picture(picture: Picture, width: int) -> RenderableType:
    """A picture no wider than `width` letters."""
    match picture:
        case Lines():
            return _draw_lines(picture, width)
        case Bars():
            return _draw_bars(picture, width)
        case Grid():
            return _draw_grid(picture, width)


def draw_sparkline(values: Sequence[float | None]) -> str:
    """One line of columns up to four dots high; long ones are drawn by the means of neighbours. Empty without values."""
    numbers = [value or 0.0 for value in values]
    if not numbers:
        return ""
    share = math.ceil(len(numbers) / _SPARK_DOTS)
    chunks = [numbers[start : start + share] for start in range(0, len(numbers), share)]
    heights = [max(sum(chunk) / len(chunk), 0.0) for chunk in chunks]
    top = max(heights)
    width = math.ceil(len(heights) / 2)
    canvas = Canvas(width, 1, xmin=0, ymin=0, xmax=2 * width, ymax=4)
    for place, height in enumerate(heights):
        for dot in range(math.ceil(4 * height / top) if top else 0):
            canvas.point(place, dot)
    text: str = canvas.plot()
    return text


def _draw_lines(picture: Lines, width: int) -> RenderableType:
    figure = Plot()
    figure.with_colors, figure.origin = False, False
    figure.width = max(min(width, 100) - _LEFT - _RIGHT, 20)
    figure.x_label, figure.y_label = "", ""
    numbers = [value for value in [*picture.values, *picture.before] if value is not None]
    low, step, figure.height = _choose_scale(min([*numbers, 0.0]), max([*numbers, 0.0]), picture.kind)
    count = len(picture.places)
    left = -0.5
    figure.set_x_limits(left, max(count, 1) - 0.5)
    figure.set_y_limits(low, low + figure.height * step)

    def write_place(start: float, end: float) -> str:
        """A place is written at the first tick that is nearest to it."""
        place, previous = math.floor(start + 0.5), math.floor(2 * start - end + 0.5)
        return picture.places[place] if 0 <= place < count and (place != previous or start == left) else ""

    figure.x_ticks_fkt = write_place
    figure.y_ticks_fkt = lambda start, _: _write_tick(start, picture.kind)
    _plot(figure, picture.before[:count], "·")
    _plot(figure, picture.values, None)
    lines = figure.show().split("\n")
    # Its first line is the axis' name, which is empty, and the bar that it ends with; its second the edge, 110 % where 100 % is all.
    text = "\n".join(line.rstrip(" ⠀") for line in lines[2 if figure.height == _SHARE_HEIGHT else 1 :]).replace("-> ()", "->")
    return Group(Text(picture.title, style="bold"), Text(text, style="cyan", no_wrap=True, overflow="crop"), Text(_legend(picture)))


def _plot(figure: Plot, values: Sequence[float | None], marker: str | None) -> None:
    """A line through each run of values without a gap; one that stands alone is a dot; with a marker, no lines."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((place, value))
    for run in filter(None, runs):
        places, heights = zip(*run, strict=True)
        if marker is None and len(run) > 1:
            figure.plot(places, heights)
        else:
            figure.scatter(places, heights, marker=marker or "•")


def _choose_scale(low: float, high: float, kind: Kind) -> tuple[float, float, int]:
    """The lowest number of the axis, the step of a line and how many lines: round ones, between which all numbers lie."""
    if low == high:
        return low, 0.01 if kind == "share" else 1.0, HEIGHT
    if kind == "share" and low == 0 and HEIGHT * _SHARE_STEP <= high <= 1:
        return low, _SHARE_STEP, _SHARE_HEIGHT
    # Of counts nothing lies between two whole numbers.
    exponent = 0 if kind == "count" else math.floor(math.log10(high - low)) - 1
    while True:
        for factor in (1, 2, 3, 4, 5):
            step = factor * 10.0**exponent
            start = math.floor(low / step) * step
            # The upper edge itself is not drawn.
            if start + HEIGHT * step > high:
                return start, step, HEIGHT
        exponent += 1


def _write_tick(value: float, kind: Kind) -> str:
    return f"{value * 100:.4g} %" if kind == "share" else f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _legend(picture: Lines) -> str:
    now, before = picture.legend
    return (
        f"line: {now}; dots: {before}" if before and any(value is not None for value in picture.before) else f"line: {now}" if now else ""
    )


def _draw_bars(picture: Bars, width: int) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("", overflow="fold", max_width=max(width // 3, 10))
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    has_before = any(value is not None for value in picture.before)
    if has_before:
        table.add_column("before", justify="right", no_wrap=True)
        table.add_column("change", justify="right", no_wrap=True)
    if picture.sparks:
        table.add_column("by day", no_wrap=True)
    whole = max([value or 0.0 for value in picture.values], default=0.0)
    for place, name in enumerate(picture.names):
        value = picture.values[place]
        # A bar without a length is none: rich would divide by it.
        bar: RenderableType = Bar(whole, 0, max(value, 0.0), width=max(width // 4, 8), color="cyan") if whole and value else Text("")
        row = [Text(as_shown_text(name)), Text(write_number(value, picture.kind)), bar]
        if has_before:
            figure = Figure(name, value, picture.before[place], picture.kind, picture.can_compare)
            row += [Text(write_number(figure.before, picture.kind)), Text(figure.change_text)]
        table.add_row(*row, *([Text(picture.sparks[place], style="cyan")] if picture.sparks else []))
    return Group(Text(picture.title, style="bold"), table)


def _draw_grid(picture: Grid, width: int) -> RenderableType:
    """As many columns as fit; the others are counted."""
    head = max([len(row) for row in picture.rows], default=0) + 2
    shown = max((width - head) // 9, 1)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("")
    for column in picture.columns[:shown]:
        table.add_column(Text(column), justify="right", no_wrap=True)
    for row, shares, marks in zip(picture.rows, picture.shares, picture.is_complete, strict=True):
        cells = [_cell(share, is_complete) for share, is_complete in zip(shares[:shown], marks[:shown], strict=True)]
        table.add_row(Text(row), *cells)
    notes = ["* not complete yet"] if any(not mark for marks in picture.is_complete for mark in marks[:shown]) else []
    if len(picture.columns) > shown:
        notes.append(f"{len(picture.columns) - shown} more columns: --csv or --json has all")
    return Group(Text(picture.title, style="bold"), table, Text("; ".join(notes), style="dim"))


def _cell(share: float | None, is_complete: bool) -> Text:
    if share is None:
        return Text("")
    style = "bold green" if share >= 0.5 else "green" if share >= 0.2 else "yellow" if share > 0 else "dim"
    return Text(f"{share * 100:.0f} %" + ("" if is_complete else "*"), style=style)
