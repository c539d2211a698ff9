"""A folder of queries of one's own beside queries/. What in it cannot be used is left out, with the reason, and takes nothing else with it."""

import graphlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import duckdb

from pipeline.ask.layers import CHECK_PREFIX, LAYERS, MACROS, ViewError
from pipeline.ask.query_files import Definition, QueryFile, check_uses, list_files, load_file, put_in_order
from schemas.errors import UsageError

_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def add_own(
    parser: duckdb.DuckDBPyConnection, folder: Path, ours: Mapping[str, Definition]
) -> tuple[dict[str, Definition], dict[str, str]]:
    """Ours with what the folder has, in order; and by name the reason of each file that is left out.

    Raises UsageError when the folder is not there.
    """
    if not folder.is_dir():
        raise UsageError(
            f"HEADWATER_QUERIES_FOLDER is '{folder}'; expected a folder with the layers {', '.join(LAYERS)}, as queries/ has them."
        )
    left_out = dict(_strays(folder))
    # Ours call DuckDB's functions, and mean those; words of SQL are names only between quotation marks.
    functions = {row[0] for row in parser.execute("select function_name from duckdb_functions()").fetchall()}
    words = {row[0] for row in parser.execute("select keyword_name from duckdb_keywords() where keyword_category = 'reserved'").fetchall()}
    files: list[QueryFile] = []
    for file in list_files(folder):
        try:
            _check_name(file, ours, words | functions if file.layer == MACROS else words)
            files.append(file)
        except ViewError as error:
            left_out[file.name] = str(error)
    macros = {file.name for file in files if file.layer == MACROS} | {name for name, one in ours.items() if one.layer == MACROS}
    own: dict[str, Definition] = {}
    for file in files:
        try:
            own[file.name] = load_file(parser, file, macros)
        except ViewError as error:
            left_out[file.name] = str(error)
    # Whoever names what is left out is left out too, so it is looked at until nothing more is.
    while True:
        wrong = _find_wrong(own, ours, left_out)
        if not wrong:
            try:
                return put_in_order({**ours, **own}), left_out
            except graphlib.CycleError as error:
                wrong = _explain_circle(own, list(reversed(error.args[1])))
        left_out |= wrong
        own = {name: one for name, one in own.items() if name not in wrong}


def _strays(folder: Path) -> Iterator[tuple[str, str]]:
    """Files that stand in no layer, by their path."""
    for path in sorted(folder.rglob("*.sql")):
        parts = path.relative_to(folder).parts
        if len(parts) != 2 or parts[0] not in LAYERS:
            yield (
                str(path.relative_to(folder)),
                f"{path} stands in no layer; expected {folder}/LAYER/{path.name}, a layer being one of {', '.join(LAYERS)}.",
            )


def _check_name(file: QueryFile, ours: Mapping[str, Definition], taken: Collection[str]) -> None:
    if not _NAME.fullmatch(file.path.stem):
        raise ViewError(f"{file.path} is no name of a view; expected small letters, digits and _, for example {file.layer}/my_view.sql.")
    if file.name in ours:
        raise ViewError(f"{file.path} has the name of {ours[file.name].path}; give it another, ours stay as they are.")
    if file.path.stem in taken:
        raise ViewError(f"{file.path} has the name of a function or a word of SQL, '{file.path.stem}'; give it another.")
    if file.layer == "checks" and not file.path.stem.startswith(CHECK_PREFIX):
        raise ViewError(f"{file.path} is no name of a check; expected {file.path.with_stem(CHECK_PREFIX + file.path.stem).name}.")


def _find_wrong(own: Mapping[str, Definition], ours: Mapping[str, Definition], left_out: Mapping[str, str]) -> dict[str, str]:
    """The first that names what it may not, or what is left out, with the reason; empty when there is none."""
    known = {**ours, **own}
    for name, one in own.items():
        missing = [used for used in (*one.reads, *one.calls) if used in left_out and used not in known]
        if missing:
            return {name: f"{one.path} names {', '.join(missing)}, which is left out itself."}
        try:
            check_uses(one, known)
        except ViewError as error:
            return {name: str(error)}
    return {}


def _explain_circle(own: Mapping[str, Definition], circle: Sequence[str]) -> dict[str, str]:
    """Of each file of a circle; ours read none of one's own, and are in none."""
    way = " -> ".join(circle)
    return {name: f"{own[name].path} reads itself in a circle: {way}. Move what they share into a view of its own." for name in circle}
