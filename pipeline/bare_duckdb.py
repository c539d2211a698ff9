"""DuckDB as it is installed: every connection of ours is opened here, and none fetches an extension or loads one that was not named."""

from pathlib import Path
from typing import Any

import duckdb


def open_duckdb(database: str | Path = ":memory:", **config: Any) -> duckdb.DuckDBPyConnection:
    """A connection; `config` are DuckDB's own settings, beside those that hold for all."""
    # Otherwise a name in SQL is enough for code from the network to run in this process.
    sealed = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    return duckdb.connect(str(database), config=config | sealed)
