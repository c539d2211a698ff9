"""A view: a file of queries/<layer>/, one bare select whose first line is its grain."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

from pipeline.ask.layers import ViewError
from pipeline.ask.sql_tree import RefusedError, Relation, Survey, survey_select

_SEVERITY = re.compile(r"-- Severity: (\w+)")


class Severity(StrEnum):
    """What it means when a check returns rows."""

    FAIL = "fail"  # a number is wrong: `headwater check` exits with 1
    WARN = "warn"  # somebody should look; what was sent may be as odd as that


@dataclass(frozen=True)
class View:
    """A file of queries/: `name` is layer.stem, `grain` its first line, `reads` the relations and `calls` the macros that it names, in order.

    Checks alone have a severity.
    """

    name: str
    grain: str
    sql: str
    reads: tuple[str, ...]
    calls: tuple[str, ...]
    path: Path
    severity: Severity | None = None

    @property
    def layer(self) -> str:
        return self.name.split(".")[0]

    @property
    def create_sql(self) -> str:
        return f"create or replace view {self.name} as {self.sql}"


def load_view(parser: duckdb.DuckDBPyConnection, path: Path, layer: str, macros: Collection[str]) -> View:
    """Read one file; `macros` are the names of all there are.

    Raises ViewError when it is not one bare select with its grain in the first line, and a check's severity in the second.
    """
    text = path.read_text()
    first = text.split("\n", 1)[0]
    if not first.startswith("-- One row "):
        raise ViewError(f"{path} begins with '{first[:60]}'; expected its grain, for example: -- One row per event.")
    try:
        survey = survey_select(parser, text)
    except (RefusedError, duckdb.ParserException) as error:
        raise ViewError(f"{path} is not one bare select: {error}") from None
    return View(
        name=f"{layer}.{path.stem}",
        grain=first.removeprefix("-- ").strip(),
        sql=text.strip().rstrip(";"),
        reads=names_read(survey),
        calls=macros_called(survey, macros),
        path=path,
        severity=_parse_severity(path, text, layer == "checks"),
    )


def _parse_severity(path: Path, text: str, is_check: bool) -> Severity | None:
    """Of a check its second line: `-- Severity: fail` or `-- Severity: warn`."""
    if not is_check:
        return None
    second = [*text.split("\n"), ""][1]
    found = _SEVERITY.fullmatch(second.strip())
    if found is None or found[1] not in set(Severity):
        raise ViewError(
            f"{path} has the second line '{second[:60]}'; expected the check's severity, for example: -- Severity: {Severity.FAIL}, or {Severity.WARN}"
        )
    return Severity(found[1])


def names_read(survey: Survey) -> tuple[str, ...]:
    """The relations of a statement in order of name; the schema main is left out."""
    return tuple(sorted(str(Relation("", "", one.name) if one.schema == "main" else one) for one in survey.relations))


def macros_called(survey: Survey, macros: Collection[str]) -> tuple[str, ...]:
    """Those of the macros that a statement calls, in order of name."""
    return tuple(sorted(name for name in survey.functions | survey.table_functions if name in macros))
