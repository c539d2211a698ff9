"""What a picture of an answer shows, however it is drawn: lines over days, bars of steps or values, or a grid of cohorts."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.answers.change import Kind


@dataclass(frozen=True)
class Lines:
    """Numbers at places in order (days, periods); `before` is drawn fainter beside them, null is a gap. Both begin at the same place."""

    title: str
    places: Sequence[str]
    values: Sequence[float | None]
    before: Sequence[float | None]
    kind: Kind
    legend: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Bars:
    """One bar a name; `before` are the numbers of the period before, `sparks` a small line each, where there is one.

    `can_compare` as in a Figure.
    """

    title: str
    names: Sequence[str]
    values: Sequence[float | None]
    before: Sequence[float | None]
    kind: Kind
    legend: tuple[str, str] = ("", "")
    sparks: Sequence[str] = ()
    can_compare: bool = True


@dataclass(frozen=True)
class Grid:
    """Shares by row and column; null is an empty cell, one that is not complete yet is marked."""

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    shares: Sequence[Sequence[float | None]]
    is_complete: Sequence[Sequence[bool]]


Picture = Lines | Bars | Grid
