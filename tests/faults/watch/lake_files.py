"""How a table's files came: counted in Delta's log, commit by commit."""

import json

from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable


def count_files(settings: Settings, table: str = "events") -> tuple[int, int]:
    """(files added, commits that added any) so far, none before there is a table. For lakes that nobody maintains: the whole log is read."""
    store = build_store(settings)
    lake_table = LakeTable(store, load_table(table))
    if not lake_table.exists():
        return 0, 0
    lake_table.refresh()
    files = commits = 0
    for version in range(lake_table.version() + 1):
        lines = store.get(f"lake/{table}/_delta_log/{version:020}.json").splitlines()
        added = sum("add" in json.loads(line) for line in lines)
        files, commits = files + added, commits + (added > 0)
    return files, commits
