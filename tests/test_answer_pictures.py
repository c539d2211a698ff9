"""Pictures of answers: as text in a terminal, as PNG files, and what is said without matplotlib."""

import datetime as dt
import io
import struct
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.answers.change import Figure, Kind, write_number
from pipeline.answers.picture import Bars, Grid, Lines, Picture
from pipeline.answers.png_picture import DPI, INCHES, write_png
from pipeline.answers.terminal_chart import draw_picture, draw_sparkline
from schemas.errors import UsageError

LINES = Lines("sent by day", ["11-01", "11-02", "11-03"], [0, 7, 3], [2, None, 2], "count", ("now", "before"))
BARS = Bars("how far", ["1 look $5", "2 buy"], [4, 1], [8, 0], "count", ("now", "before"))
GRID = Grid("share", ["2026-11-01 (4)"], ["0", "1"], [[1.0, 0.25]], [[True, False]])
NOTHING: list[Picture] = [Lines("a", [], [], [], "share"), Bars("b", [], [], [], "count"), Grid("c", [], [], [], [])]


def drawn(picture: Picture, width: int = 60) -> list[str]:
    """The lines of its text, blank letters of Braille as spaces."""
    out = io.StringIO()
    Console(file=out, width=width).print(draw_picture(picture, width))
    return [line.replace("\u2800", " ").rstrip() for line in out.getvalue().splitlines()]


def test_lines_are_drawn_between_round_numbers_with_days_below() -> None:
    lines = drawn(LINES)
    assert lines[0] == "sent by day"
    # Seven and below: a step of one, eight of them; the edge itself is free.
    assert [line.split("|")[0].strip() for line in lines[1:10]] == ["8", "7", "6", "5", "4", "3", "2", "1", "0"]
    assert lines[-2].split() == ["|", "11-01", "11-02", "11-03"]
    assert lines[-1] == "line: now; dots: before"
    # The days before: two dots at 2, none where nothing is known.
    assert lines[7].count("·") == 2


def test_line_of_one_day_is_a_point_and_its_day_stands_once() -> None:
    lines = drawn(Lines("one", ["11-01"], [5], [], "count", ("now", "")))
    assert (sum(line.count("•") for line in lines), lines[-2].split()) == (1, ["|", "11-01"])


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        # A step of 10 %, eight of them; the edge itself is free.
        pytest.param(0.79, "80 70 60 50 40 30 20 10 0", id="low"),
        pytest.param(0.8, "100 90 80 70 60 50 40 30 20 10 0", id="near"),
        pytest.param(0.97, "100 90 80 70 60 50 40 30 20 10 0", id="within"),
        pytest.param(1.0, "100 90 80 70 60 50 40 30 20 10 0", id="exactly"),
        pytest.param(1.01, "160 140 120 100 80 60 40 20 0", id="beyond"),
    ],
)
def test_axis_of_shares_ends_at_all_unless_one_is_more(highest: float, ticks: str) -> None:
    lines = drawn(Lines("rate", ["11-01", "11-02"], [0.5, highest], [], "share", ("now", "")))
    assert [line.split("|")[0].strip() for line in lines[1:-3]] == [f"{tick} %" for tick in ticks.split()]


@pytest.mark.parametrize(("value", "tick"), [(1.0, "100 %"), (0.95, "90 %"), (0.85, "80 %")])
def test_share_near_to_all_is_drawn_on_its_line(value: float, tick: str) -> None:
    lines = drawn(Lines("rate", ["11-01"], [value], [], "share", ("now", "")))
    assert [line.split("|")[0].strip() for line in lines if "•" in line] == [tick]


@pytest.mark.parametrize(
    ("kind", "highest", "is_cut"), [("share", 0.99, True), ("share", 1.0, True), ("share", 1.01, False), ("count", 1, False)]
)
def test_axis_of_shares_in_a_png_ends_at_all_too(
    kind: Kind, highest: float, is_cut: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure as Drawn

    tops: list[float] = []
    monkeypatch.setattr(Drawn, "savefig", lambda figure, *_, **__: tops.append(figure.axes[0].get_ylim()[1]))
    write_png(Lines("rate", ["11-01", "11-02"], [0.1, highest], [], kind, ("now", "")), tmp_path / "picture.png")
    assert (tops == [1.0], tops[0] >= highest) == (is_cut, True)


def test_bars_are_as_long_as_their_share_of_the_longest_with_the_change_beside() -> None:
    lines = [" ".join(line.split()) for line in drawn(BARS)]
    assert lines[0] == "how far"
    assert lines[2] == "1 look $5 4 " + "█" * 15 + " 8 -50.0 %"
    # A quarter of 15 letters: three whole ones and three quarters of one.
    assert lines[3] == "2 buy 1 ███▊ 0 +1 from 0"


def test_grid_marks_what_is_not_complete() -> None:
    assert [line.split() for line in drawn(GRID)][1:] == [
        ["0", "1"],
        ["2026-11-01", "(4)", "100", "%", "25", "%*"],
        ["*", "not", "complete", "yet"],
    ]


def test_grid_that_is_too_wide_counts_the_columns_left_out() -> None:
    wide = Grid("wide", ["a"], [str(number) for number in range(30)], [[0.5] * 30], [[True] * 30])
    assert "more columns: --csv or --json has all" in drawn(wide)[-1]
    assert max(map(len, drawn(wide))) <= 60


@pytest.mark.parametrize("picture", NOTHING)
def test_picture_of_nothing_is_empty_and_no_error(picture: Picture, tmp_path: Path) -> None:
    assert drawn(picture)[0] == picture.title
    write_png(picture, tmp_path / "empty.png")


def test_sparkline_has_a_column_of_dots_for_each_number() -> None:
    # 1 to 4 of 4: one dot, two, three, four.
    assert draw_sparkline([1, 2, 3, 4]) == "⣠⣾"
    assert draw_sparkline([0, None]).replace("\u2800", " ") == " "
    assert draw_sparkline([]) == ""
    # 400 numbers are drawn by the means of ten.
    assert len(draw_sparkline(list(range(400)))) == 20


@pytest.mark.parametrize("picture", [LINES, BARS, GRID])
def test_png_begins_with_its_signature_and_has_the_size(picture: Picture, tmp_path: Path) -> None:
    write_png(picture, tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (int(DPI * INCHES[0]), int(DPI * INCHES[1])) == (1200, 675)


def test_without_matplotlib_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"needs matplotlib, which is not installed\. Install headwater\[png\]"):
        write_png(LINES, tmp_path / "picture.png")


def test_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none/picture\.png' cannot be written: No such file or directory"):
        write_png(LINES, tmp_path / "none" / "picture.png")


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("n", 3, 2), "+50.0 %"),
        (Figure("n", 2, 2), "no change"),
        (Figure("n", 0, 0), "no change"),
        (Figure("n", 1234, 0), "+1,234 from 0"),
        (Figure("n", None, 2), "-"),
        (Figure("n", 0.5, 0.4, "share"), "+10.0 points"),
        (Figure("n", 0.5, None, "share"), "-"),
    ],
)
def test_change_is_said_as_people_say_it(figure: Figure, text: str) -> None:
    assert figure.change_text == text


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (0, "0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (dt.timedelta(hours=2, minutes=10).total_seconds(), "2 h 10 min"),
        (90000, "1 d 1 h"),
        (None, "-"),
    ],
)
def test_times_are_written_by_their_two_largest_units(secs: float | None, text: str) -> None:
    assert write_number(secs, "seconds") == text
