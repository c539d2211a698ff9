"""Pictures of answers as PNG files, by matplotlib, which is an extra: headwater[png]."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.answers.change import write_number
from pipeline.answers.picture import Bars, Grid, Lines, Picture
from schemas.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Pixels: 1200 wide, 675 high.
DPI, INCHES = 100, (12.0, 6.75)
_NOW, _BEFORE = "#0b6e99", "#b8c4cc"
_TICKS_MAX = 12


def write_png(picture: Picture, file: Path) -> None:
    """Draw a picture into a file.

    Raises UsageError when matplotlib is not installed or the file cannot be written.
    """
    figure = load_figure()(figsize=INCHES, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_plain(picture.title), loc="left", fontweight="bold")
    match picture:
        case Lines():
            _draw_lines(picture, axes)
        case Bars():
            _draw_bars(picture, axes)
        case Grid():
            _draw_grid(picture, axes)
    try:
        figure.savefig(file, format="png")
    except OSError as error:
        raise UsageError(f"File '{file}' cannot be written: {error.strerror}; name another with --png FILE.") from None


def load_figure() -> "type[Figure]":
    """matplotlib's class of figures. Raises UsageError when it is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "Option '--png' needs matplotlib, which is not installed. Install headwater[png], for example with "
            "pip install 'headwater[png]'; or leave it out: the chart in the terminal needs nothing more."
        ) from None
    return Figure


def _draw_lines(picture: Lines, axes: "Axes") -> None:
    now, before = picture.legend
    gap = float("nan")
    count = len(picture.places)
    fainter = picture.before[:count]
    axes.plot(
        range(len(fainter)),
        [gap if one is None else one for one in fainter],
        color=_BEFORE,
        linestyle="--",
        marker=".",
        label=before or "before",
        clip_on=False,
    )
    # What lies on the edge, all or nothing, is drawn whole.
    axes.plot(
        range(count), [gap if one is None else one for one in picture.values], color=_NOW, marker=".", label=now or "now", clip_on=False
    )
    step = -(-count // _TICKS_MAX) or 1
    axes.set_xticks(range(0, count, step), [_plain(place) for place in picture.places[::step]])
    axes.yaxis.set_major_formatter(lambda value, _: write_number(value, picture.kind))
    _open_frame(axes)
    numbers = [one for one in [*picture.values, *fainter] if one is not None]
    if all(one >= 0 for one in numbers):
        axes.set_ylim(bottom=0)
    if picture.kind == "share" and all(one <= 1 for one in numbers):
        # No share is more than all; the margin above the highest would say so.
        axes.set_ylim(top=min(axes.get_ylim()[1], 1))
    axes.legend(frameon=False)


def _draw_bars(picture: Bars, axes: "Axes") -> None:
    now, before = picture.legend
    places = range(len(picture.names))
    values = [value or 0.0 for value in picture.values]
    if picture.before:
        axes.barh(
            [place + 0.2 for place in places], [value or 0.0 for value in picture.before], 0.35, color=_BEFORE, label=before or "before"
        )
    bars = axes.barh([place - 0.2 for place in places], values, 0.35, color=_NOW, label=now or "now")
    axes.bar_label(bars, [write_number(value, picture.kind) for value in picture.values], padding=4)
    axes.set_yticks(places, [_plain(name) for name in picture.names])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: write_number(value, picture.kind))
    _open_frame(axes)
    axes.set_xlim(0, max([*values, *(value or 0.0 for value in picture.before)], default=0.0) * 1.1 or 1)
    if picture.before:
        axes.legend(frameon=False, loc="lower right")


def _draw_grid(picture: Grid, axes: "Axes") -> None:
    gap = float("nan")
    shares = [[gap if share is None else share for share in row] for row in picture.shares]
    if shares and picture.columns:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, cells in enumerate(picture.shares):
        for column, share in enumerate(cells):
            # More than so many numbers cannot be read.
            if share is not None and len(picture.columns) <= 2 * _TICKS_MAX:
                mark = "" if picture.is_complete[row][column] else "*"
                axes.text(
                    column, row, f"{share * 100:.0f}{mark}", ha="center", va="center", color="white" if share > 0.6 else "black", fontsize=8
                )
    step = -(-len(picture.columns) // (2 * _TICKS_MAX)) or 1
    axes.set_xticks(range(0, len(picture.columns), step), picture.columns[::step])
    axes.set_yticks(range(len(picture.rows)), picture.rows)


def _open_frame(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e6eaed")
    axes.set_axisbelow(True)


def _plain(text: str) -> str:
    """Text in which no $ begins a formula."""
    return text.replace("$", r"\$")
