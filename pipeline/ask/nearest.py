"""The nearest to a name that is not there."""

import difflib
import re
from collections.abc import Collection

# DuckDB names candidates for a bare column; for one behind an alias it does not.
_COLUMN = re.compile(r'does not have a column named "([^"]+)"')


def hint_column(error: str, columns: Collection[str]) -> str:
    """What an error of DuckDB about a column lacks: the nearest of the columns that could be meant; '' when there is nothing to add."""
    found = _COLUMN.search(error)
    near = difflib.get_close_matches(found[1].lower(), sorted(set(columns)), n=1, cutoff=0.5) if found else []
    return f'\nDid you mean "{near[0]}"?' if near else ""
