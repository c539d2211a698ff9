"""A macro: a file of queries/macros/, comments and one `create macro NAME(parameters) as ...`; of a value, or of a table with `as table`."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipeline.ask.layers import MACROS, SETTINGS, ViewError
from pipeline.ask.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from pipeline.ask.sql_tree import RefusedError, Survey, survey_select
from pipeline.ask.views import macros_called, names_read

# How a file begins: what it gives, in the words of its first line.
TABLE_HEAD, VALUE_HEAD = "-- One row per ", "-- A value: "
_COMMENTS = re.compile(r"(?:--[^\n]*\n|\s*\n)+")
_CREATE = re.compile(r"create macro (\w+)\s*\((.*?)\)\s+as\s+(table\s+)?(.*)", re.DOTALL)
_PARAMETER = re.compile(r"(\"[a-z]\w*\"|[a-z]\w*)(?:\s*:=\s*(.+))?", re.DOTALL)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a macro; one without a default must be given. Both may be given by place or as `name := value`."""

    name: str
    default: str | None

    def __str__(self) -> str:
        return self.name if self.default is None else f"{self.name} := {self.default}"


@dataclass(frozen=True)
class Macro:
    """A file of queries/macros/: `grain` is its first line, `sql` its text, `reads` the relations and `calls` the macros that it names."""

    name: str
    grain: str
    parameters: tuple[Parameter, ...]
    is_table: bool
    body: str
    sql: str
    reads: tuple[str, ...]
    calls: tuple[str, ...]
    path: Path

    @property
    def layer(self) -> str:
        return MACROS

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))})"

    @property
    def create_sql(self) -> str:
        return f"create or replace macro {self.signature} as {'table ' if self.is_table else ''}{self.body}"


def load_macro(parser: duckdb.DuckDBPyConnection, path: Path, macros: Collection[str]) -> Macro:
    """Read one file; `macros` are the names of all there are.

    Raises ViewError when it breaks a rule: its first line, one create macro of the file's name, a name that is free.
    """
    text = path.read_text().strip()
    comments = _COMMENTS.match(text)
    found = _CREATE.fullmatch(text, comments.end() if comments else 0)
    if found is None:
        raise ViewError(f"{path} is not comments and one 'create macro {path.stem}(parameters) as ...', in lower case.")
    name, parameters, table, body = found.groups()
    if name != path.stem:
        raise ViewError(f"{path} creates the macro '{name}'; expected '{path.stem}', the name of its file.")
    if name in FUNCTIONS | TABLE_FUNCTIONS:
        raise ViewError(f"{path} hides DuckDB's own function '{name}'; give the macro another name.")
    grain, head = text.split("\n", 1)[0], TABLE_HEAD if table else VALUE_HEAD
    if not grain.startswith(head):
        raise ViewError(f"{path} begins with '{grain[:60]}'; expected what it gives: {head}...")
    body = body.rstrip().rstrip(";")
    defined = tuple(_parse_parameter(path, part) for part in _split(parameters))
    survey = _survey(parser, path, body if table else f"select (\n{body}\n)")
    defaults = [one.default for one in defined if one.default is not None]
    given = _survey(parser, path, f"select {', '.join(defaults)}") if defaults else Survey()
    if any(one.name == SETTINGS and not one.schema for one in survey.relations):
        raise ViewError(f"{path} reads '{SETTINGS}'; expected 'main.{SETTINGS}': a caller's CTE of that name would stand in its place.")
    return Macro(
        name=name,
        grain=grain.removeprefix("-- ").strip(),
        parameters=defined,
        is_table=bool(table),
        body=body,
        sql=text,
        reads=names_read(survey),
        calls=tuple(sorted({*macros_called(survey, macros), *macros_called(given, macros)})),
        path=path,
    )


def _survey(parser: duckdb.DuckDBPyConnection, path: Path, select: str) -> Survey:
    try:
        return survey_select(parser, select)
    except (RefusedError, duckdb.ParserException) as error:
        raise ViewError(f"{path} is not one macro over one select or one value: {error}") from None


def _parse_parameter(path: Path, text: str) -> Parameter:
    found = _PARAMETER.fullmatch(text)
    if found is None:
        raise ViewError(f"{path} has the parameter '{text}'; expected a name, or name := default. Types stand in the comments.")
    return Parameter(found[1], found[2])


def _split(parameters: str) -> Iterator[str]:
    """The parts between the commas that stand in no text and no brackets."""
    part, depth, is_text = "", 0, False
    for letter in parameters:
        is_text ^= letter == "'"
        if not is_text:
            depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth and not is_text:
            yield part.strip()
            part = ""
        else:
            part += letter
    if part.strip():
        yield part.strip()
