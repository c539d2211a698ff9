"""All that the site says, gathered: an entry for each view and macro, with what it reads and who reads it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pipeline.ask.layers import FOLDER, LAYERS
from pipeline.ask.macros import Macro, Parameter
from pipeline.ask.query_files import Definition
from pipeline.ask.reader import Reader
from pipeline.ask.views import View
from pipeline.pages.site.graph import Edge, edges_of, walk_down, walk_up
from pipeline.pages.site.meanings import find_meaning, read_meanings
from schemas.errors import HeadwaterError, UsageError


@dataclass(frozen=True)
class Column:
    """A column with its DuckDB type; `meaning` is Markdown, empty when nothing says it."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Exposure:
    """Who reads views outside the library."""

    name: str
    owner: str
    what: str


@dataclass(frozen=True)
class Entry:
    """A view or a macro. `notes`: what its head says below the grain; `reads`: views, lake tables and macros; `read_by`: views and macros; `broken`: why it does not fit what it reads."""

    name: str
    layer: str
    grain: str
    notes: tuple[str, ...]
    sql: str
    reads: tuple[str, ...]
    read_by: tuple[str, ...]
    exposures: tuple[Exposure, ...]
    columns: tuple[Column, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    signature: str = ""
    broken: str = ""


@dataclass(frozen=True)
class Catalog:
    """Entries by name, in order of layer and name; who reads what; files of one's own that are left out, with the reason."""

    entries: Mapping[str, Entry]
    edges: Sequence[Edge]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def above(self, name: str) -> list[str]:
        """What it stands on, all the way down to the lake's tables."""
        return list(dict.fromkeys(source for source, _ in walk_up(self.edges, name)))

    def below(self, name: str) -> list[str]:
        """What stands on it, all the way."""
        return list(dict.fromkeys(target for _, target in walk_down(self.edges, name)))


def build_catalog(reader: Reader, own: Path | None = None) -> Catalog:
    """Everything of the reader's library; `own` is the folder of one's own.

    Raises UsageError for an exposures.yml or a README.md of it that cannot be read.
    """
    library, meanings = reader.library, read_meanings(own)
    views = {view.name: view for view in library.views}
    edges = edges_of(library.definitions.values())
    exposures = list(_read_exposures(own))
    entries = {}
    for name in sorted(library.definitions, key=lambda name: (list(LAYERS).index(library.definitions[name].layer), name)):
        one = library.definitions[name]
        columns, broken = _columns(reader, one, views, meanings)
        entries[name] = Entry(
            name=name,
            layer=one.layer,
            grain=one.grain,
            notes=_notes(one.sql),
            sql=one.sql,
            reads=tuple(source for source, target in edges if target == name),
            read_by=tuple(target for source, target in edges if source == name),
            exposures=tuple(exposure for exposure, read in exposures if name in read),
            columns=columns,
            parameters=one.parameters if isinstance(one, Macro) else (),
            signature=one.signature if isinstance(one, Macro) else "",
            broken=broken,
        )
    return Catalog(entries, edges, library.left_out)


def _columns(
    reader: Reader, one: Definition, views: Mapping[str, View], meanings: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[Column, ...], str]:
    try:
        reader.create(one.name)
        columns = reader.columns(one.name) if isinstance(one, View) else []
    except HeadwaterError as error:
        return (), str(error)
    if not isinstance(one, View):
        return (), ""
    return tuple(Column(name, kind.lower(), find_meaning(one, name, views, meanings)) for name, kind in columns), ""


def _notes(sql: str) -> tuple[str, ...]:
    """The comments of a file's head below its first line."""
    lines = sql.split("\n")
    head = next((place for place, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return tuple(line.removeprefix("--").strip() for line in lines[1:head])


def _read_exposures(own: Path | None) -> Iterator[tuple[Exposure, frozenset[str]]]:
    for folder in (FOLDER, *([own] if own else [])):
        page = folder / "exposures.yml"
        if page.exists():
            try:
                for one in yaml.safe_load(page.read_text())["exposures"]:
                    yield Exposure(str(one["name"]), str(one["owner"]), str(one["what"])), frozenset(map(str, one["reads"]))
            except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
                raise UsageError(
                    f"{page} cannot be read ({error!r}); expected exposures, a list of name, owner, what and reads, as queries/exposures.yml."
                ) from None
