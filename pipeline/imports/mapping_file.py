"""Reads a mapping file: TOML that says which column of an archive is which field of an event; deploy/local/cdnow.toml is an example.

[fields], [attributes] and [metrics] each name what an event gets on the left and the column on the right. A column may be
'a.b' for a value inside an object. `{constant = "x"}` gives every row the same value; times take `format` and `zone`.
`unmapped` says where other columns go (extra, attributes, ignore), [csv] how a CSV file is written.
"""

import codecs
import json
import tomllib
import zoneinfo
from pathlib import Path
from typing import Any, cast

from pipeline.imports.fields import PLACES, REQUIRED, TIMES, USER_ID
from pipeline.imports.mapping import Cell, CsvOptions, Mapping, Unmapped
from pipeline.imports.rows import nearest
from schemas.errors import UsageError

_PARTS = {"fields", "attributes", "metrics", "unmapped", "csv"}
_CSV = {"separator", "columns", "skip_rows", "encoding", "decimal"}
_CELL = {"column", "constant", "format", "zone"}
_FIELDS = sorted({*PLACES, USER_ID} - {"source"})


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Raises UsageError that names the file, the part and what was expected there.
    """
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Mapping '{path}' cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"Mapping '{path}' is not TOML: {error}; deploy/local/cdnow.toml is an example.") from None
    _require_known(path, "part", found, _PARTS)
    fields = {name: _cell(path, "fields", name, value) for name, value in _table(path, found, "fields").items()}
    for name, cell in fields.items():
        if name not in _FIELDS:
            raise UsageError(
                f"Mapping '{path}' names the unknown field '{name}'{nearest(name, _FIELDS)}; fields are {', '.join(_FIELDS)}. "
                "Anything else goes under [attributes] (text) or [metrics] (numbers)."
            )
        if name not in TIMES and (cell.format or cell.zone != "UTC"):
            raise UsageError(
                f"Mapping '{path}': field '{name}' has a format or zone; expected them for times only ({', '.join(sorted(TIMES))})."
            )
    unmapped = found.get("unmapped", "extra")
    if unmapped not in {"extra", "attributes", "ignore"}:
        raise UsageError(f"Mapping '{path}': unmapped is '{unmapped}'; expected 'extra', 'attributes' or 'ignore'.")
    return Mapping(
        path=str(path),
        fields=fields,
        attributes={name: _cell(path, "attributes", name, value) for name, value in _table(path, found, "attributes").items()},
        metrics={name: _cell(path, "metrics", name, value) for name, value in _table(path, found, "metrics").items()},
        unmapped=cast(Unmapped, unmapped),
        csv=_csv_options(path, _table(path, found, "csv")),
        text=json.dumps(found, sort_keys=True),
    )


def require_fields(mapping: Mapping, app_id: str | None) -> None:
    """Raises UsageError when a field that every event needs is not mapped (`app_id` may come from --app)."""
    missing = [name for name in REQUIRED if name not in mapping.fields and not (name == "app_id" and app_id)]
    if missing:
        raise UsageError(
            f"Mapping '{mapping.path}' lacks the field '{missing[0]}', which every event needs; add to [fields] "
            f'{missing[0]} = "column", or {missing[0]} = {{constant = "..."}}.'
        )


def _cell(path: Path, part: str, name: str, value: Any) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    if not isinstance(value, dict) or ("column" in value) == ("constant" in value):
        raise UsageError(
            f'Mapping \'{path}\', [{part}] {name} is {value!r}; expected a column ("name"), {{column = "name", format = "%Y%m%d"}} '
            'or {constant = "value"}.'
        )
    _require_known(path, f"[{part}] {name}", value, _CELL)
    zone = value.get("zone", "UTC")
    if zone != "UTC" and zone not in zoneinfo.available_timezones():
        raise UsageError(
            f"Mapping '{path}', [{part}] {name}: zone is '{zone}'{nearest(str(zone), sorted(zoneinfo.available_timezones()))}; "
            "expected a name such as Europe/Berlin."
        )
    return Cell(value.get("column"), value.get("constant"), value.get("format"), zone)


def _csv_options(path: Path, found: dict[str, Any]) -> CsvOptions:
    _require_known(path, "[csv]", found, _CSV)
    separator = found.get("separator")
    if separator == "whitespace":
        separator = ""
    elif separator is not None and (not isinstance(separator, str) or len(separator) != 1):
        raise UsageError(
            f"Mapping '{path}', [csv] separator is {separator!r}; expected one character, or \"whitespace\" for any run of blanks."
        )
    try:
        codecs.lookup(found.get("encoding", "utf-8-sig"))
    except LookupError:
        raise UsageError(f"Mapping '{path}', [csv] encoding is '{found['encoding']}'; expected one such as utf-8 or latin-1.") from None
    if found.get("decimal", ".") not in {".", ","}:
        raise UsageError(f"Mapping '{path}', [csv] decimal is '{found['decimal']}'; expected '.' or ','.")
    return CsvOptions(
        separator=separator,
        columns=tuple(found.get("columns", ())),
        skip_rows=found.get("skip_rows", 0),
        encoding=found.get("encoding", "utf-8-sig"),
        decimal=found.get("decimal", "."),
    )


def _table(path: Path, found: dict[str, Any], part: str) -> dict[str, Any]:
    table = found.get(part, {})
    if not isinstance(table, dict):
        raise UsageError(f"Mapping '{path}': {part} is {table!r}; expected a table, [{part}].")
    return table


def _require_known(path: Path, where: str, found: dict[str, Any], known: set[str]) -> None:
    for name in found:
        if name not in known:
            raise UsageError(
                f"Mapping '{path}': {where} has the unknown name '{name}'{nearest(name, sorted(known))}; "
                f"expected {', '.join(sorted(known))}."
            )
