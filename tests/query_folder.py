"""A folder of queries, written by a test."""

from collections.abc import Mapping
from pathlib import Path


def write_queries(folder: Path, files: Mapping[str, str]) -> Path:
    """Write texts by their path, layer/name.sql; the folder, which is made."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
