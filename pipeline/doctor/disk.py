"""The disk under the home, the spilled dedup keys and the temporary files of queries: can be written, and has room."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, warning
from pipeline.stack.lifecycle import FREE_BYTES_MIN

# Kafka's log, S3's files and spilled keys grow by the hour.
FREE_BYTES_WANTED = 5_000_000_000
PROBE_BYTES = 1_000_000


def check_disk(case: Case) -> Iterator[Finding]:
    """Each folder of ours, or where it would be made."""
    home = case.settings.home.resolve()
    yield _look_at("home", home, "set HEADWATER_HOME to a folder on another disk")
    yield _look_at("spill folder", home / "spill", "set HEADWATER_HOME to a folder on another disk")
    yield _look_at("folder of queries", Path(tempfile.gettempdir()), "set TMPDIR to a folder on another disk")


def _look_at(subject: str, folder: Path, elsewhere: str) -> Finding:
    ground = next(path for path in (folder, *folder.parents) if path.exists())
    place = str(folder) if ground == folder else f"{folder} (to be made in {ground})"
    if not ground.is_dir():
        return broken(subject, f"{ground} is a file", "a folder that can be made and written", elsewhere)
    try:
        if ground == folder:
            _write_probe(ground)
        elif not os.access(ground, os.W_OK | os.X_OK):
            return broken(subject, f"{place} may not be written", "a folder that can be made and written", elsewhere)
        free = shutil.disk_usage(ground).free
    except OSError as error:
        return broken(
            subject,
            f"{place} takes no file of {PROBE_BYTES / 1e6:g} MB: {error.strerror}",
            "a folder that can be written",
            f"free some room there, or {elsewhere}",
        )
    said = f"{place}: {free / 1e9:,.1f} GB free"
    if free < FREE_BYTES_MIN:
        return broken(subject, said, f"{FREE_BYTES_MIN / 1e9:g} GB or more", f"free some room there, or {elsewhere}")
    if free < FREE_BYTES_WANTED:
        return warning(subject, said, f"{FREE_BYTES_WANTED / 1e9:g} GB or more", f"free some room there, or {elsewhere}")
    return ok(subject, said)


def _write_probe(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(os.urandom(PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
