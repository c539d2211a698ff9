"""The nearest to a name that is not there."""

import difflib
import re
from collections.abc import Collection, Mapping

_MACRO = re.compile(r"Macro (\w+)\(\) does not support the supplied arguments")
# DuckDB names candidates for a bare column; for one behind an alias it does not.
_COLUMN = re.compile(r'does not have a column named "([^"]+)"')


def hint(name: str, known: Collection[str], cutoff: float = 0.5, quote: str = "'") -> str:
    """ " Did you mean '...'?" with the nearest name, whatever its case; nothing when none is near: alike by less than `cutoff` of 1.

    `quote` is " where the name is written into SQL.
    """
    lowered = {one.lower(): one for one in sorted(known)}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=cutoff)
    return f" Did you mean {quote}{lowered[close[0]]}{quote}?" if close else ""


def hint_column(error: str, columns: Collection[str]) -> str:
    """What an error of DuckDB about a column lacks: the nearest of the columns that could be meant, on a line; '' when there is nothing to add."""
    found = _COLUMN.search(error)
    near = hint(found[1], columns, quote='"') if found else ""
    return f"\n{near.strip()}" if near else ""


def refused_argument(error: str, given: Mapping[str, Collection[str]], known: Mapping[str, Collection[str]]) -> str:
    """What DuckDB leaves unsaid of a call of a macro that has other arguments: which, and the nearest that there is; '' for other errors.

    `given` are the names that the statement gives to each macro, `known` those that each macro takes.
    """
    found = _MACRO.search(error)
    if found is None or found[1] not in known:
        return ""
    names = known[found[1]]
    for name in sorted(given.get(found[1], ())):
        if name not in names:
            return f"Macro '{found[1]}' has no argument '{name}'.{hint(name, names)} It takes {', '.join(names)}."
    return ""
