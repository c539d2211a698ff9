"""A line of the doctor's report: what was looked at, how it is, what was found and expected, and the way out."""

import enum
from dataclasses import dataclass

from schemas.errors import HeadwaterError, SettingError


class State(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works; it may not for long, or is not what a setting says
    BROKEN = "broken"  # something that Headwater needs does not work, or would do harm
    UNCHECKED = "not checked"  # what it stands on is broken; `found` says what


@dataclass(frozen=True)
class Finding:
    """One line. `expected` and `way_out` (a command, a setting) are filled for warnings and for what is broken."""

    subject: str
    state: State
    found: str
    expected: str = ""
    way_out: str = ""


def ok(subject: str, found: str) -> Finding:
    return Finding(subject, State.OK, found)


def warning(subject: str, found: str, expected: str, way_out: str) -> Finding:
    return Finding(subject, State.WARNING, found, expected, way_out)


def broken(subject: str, found: str, expected: str, way_out: str) -> Finding:
    return Finding(subject, State.BROKEN, found, expected, way_out)


def unchecked(subject: str, because: str) -> Finding:
    return Finding(subject, State.UNCHECKED, f"because {because}")


def from_error(subject: str, error: HeadwaterError, way_out: str = "") -> Finding:
    """A broken line out of an error, which says all of it in one sentence or two: value found, what was expected, the way out."""
    if isinstance(error, SettingError):
        found, expected = f"HEADWATER_{error.name} is '{error.value}'", error.expected
        return broken(subject, found, expected, way_out or f"set HEADWATER_{error.name} so, or unset it")
    text = str(error).rstrip()
    for mark in ("; expected ", ". Expected "):
        found, has_mark, rest = text.partition(mark)
        if has_mark:
            expected, _, said = rest.partition(". ")
            return broken(subject, found, expected.rstrip("."), way_out or said.rstrip(".") or expected.rstrip("."))
    found, has_mark, said = text.rpartition("; ")
    return broken(subject, found if has_mark else text.rstrip("."), "that it works", way_out or said.rstrip("."))
