"""How many bytes of Parquet an event takes, as workers write it and after maintenance."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline.cli import COMMANDS
from pipeline.config import Settings
from pipeline.stores import build_store
from schemas.tables import load_table
from sinks.lake import LakeTable
from tests.bench.ground import open_scene, preload, run_maintenance
from tests.bench.path import wait_for_landed
from tests.bench.rows import Budget, Row, Sizes
from tests.worker_process import WorkerProcess, running


def measure_size(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """A row for hot files and one for compacted ones, of the table events."""
    with open_scene(ground, "size") as settings:
        preload(settings, sizes.path_events)
        worker = WorkerProcess(settings, settings.home)
        with running(worker):
            wait_for_landed([worker], sizes.path_events)
            worker.stop()
        yield _row(settings, "hot", Budget("value", 55.0))
        if "maintain" not in COMMANDS:
            yield Row("size", "compacted", note="this revision has no maintenance")
            return
        # A few files of today are left alone by default, until there are many or a target's bytes of them.
        run_maintenance(settings, maintain_files_max="2")
        yield _row(settings, "compacted", Budget("value", 48.0))


def _row(settings: Settings, what: str, budget: Budget) -> Row:
    files, rows, size = count_files(settings)
    return Row("size", what, value=size / rows, unit="bytes an event", budget=budget, note=f"{rows:,} rows in {files} files")


def count_files(settings: Settings) -> tuple[int, int, int]:
    """Files, rows and bytes of the table events."""
    table = LakeTable(build_store(settings), load_table("events"))
    table.refresh()
    actions = pa.table(table._delta().get_add_actions(flatten=True))
    return actions.num_rows, sum(actions["num_records"].to_pylist()), sum(actions["size_bytes"].to_pylist())
