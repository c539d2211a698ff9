"""Names of what is redacted: how they compare, how they may be spelt in JSON, and which of them a record cannot do without."""

import functools
import json
import re
from collections.abc import Collection, Iterable
from typing import Any

import schemas.tables

_FOLD = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"} | {ord("_"): None, ord("-"): None}


def fold_name(name: str) -> str:
    """The name as names are compared: A to Z in lower case, without _ and -. Other alphabets count as they are."""
    return _fold_short(name) if len(name) <= 64 else name.translate(_FOLD)


@functools.lru_cache(maxsize=4096)
def _fold_short(name: str) -> str:
    """Records repeat their names; long ones are not kept, they are nobody's names."""
    return name.translate(_FOLD)


def fold_all(names: Iterable[str]) -> set[str]:
    """The names folded, with client_id where endpoint_id is among them."""
    folded = {fold_name(name) for name in names}
    return folded | {"clientid"} if "endpointid" in folded else folded


def build_pattern(names: Collection[str]) -> str:
    """Regular expression (case ignored) that is found in every text with one of the folded names as a key, and in few others.

    A key stands between quotes, the second one escaped when the JSON lies inside text; or it is spelt with escapes.
    """
    spelt = "|".join("[_-]*" + "".join(_letter(letter) + "[_-]*" for letter in name) for name in names)
    escape = r"\\u00[0-7]" if "".join(names).isascii() else r"\\u[0-9a-f]"
    return f'"(?:{spelt})\\\\*"|{escape}'


def _letter(letter: str) -> str:
    """A letter as it may stand in JSON; quotes and backslashes are escaped there, a slash may be."""
    return (r"\\*" if letter in '"\\/' else "") + re.escape(letter)


@functools.cache
def load_shape() -> tuple[frozenset[str], frozenset[str]]:
    """Of the stream record, folded: names that every event needs, and names whose value is no text (objects, maps, numbers)."""
    record = json.loads((schemas.tables.FOLDER / "stream_record.avsc").read_text())
    required, not_text = set(), set()

    def visit(fields: list[dict[str, Any]], is_needed: bool) -> None:
        for field in fields:
            declared = field["type"]
            is_optional = isinstance(declared, list)
            kind = next(part for part in declared if part != "null") if is_optional else declared
            if is_needed and not is_optional:
                required.add(fold_name(field["name"]))
            if kind != "string" or field.get("json"):
                not_text.add(fold_name(field["name"]))
            if isinstance(kind, dict) and kind["type"] == "record":
                visit(kind["fields"], is_needed and not is_optional)

    visit(record["fields"], True)
    return frozenset(required), frozenset(not_text)
