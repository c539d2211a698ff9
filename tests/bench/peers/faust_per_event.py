"""Stock Faust: an agent that takes event by event, json, a buffer, pyarrow in a thread; seven columns."""

import asyncio
import json
import os
import sys
from typing import Any

import faust

from tests.bench.peers.columns import FEW, build_table, few_columns
from tests.bench.peers.job import FLUSH_ROWS, Landing, read_job


def main() -> None:
    """Run the app until the last file is written."""
    job = read_job()
    landing = Landing(job)
    app = faust.App(
        job.group,
        broker=f"kafka://{job.servers}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
    )

    async def land(events: Any) -> None:
        rows: list[tuple[Any, ...]] = []
        async for value in events:
            landing.start()
            landing.consumed += 1
            rows.append(few_columns(json.loads(value)))
            if len(rows) >= FLUSH_ROWS or landing.consumed == job.count:
                await asyncio.get_running_loop().run_in_executor(None, _write, landing, rows)
                rows = []
            if landing.consumed == job.count:
                _leave(landing)

    app.agent(app.topic(job.topic, value_serializer="raw"))(land)
    worker = faust.Worker(app, loglevel="WARNING", quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


def _write(landing: Landing, rows: list[tuple[Any, ...]]) -> None:
    landing.write(build_table(rows, FEW))


def _leave(landing: Landing) -> None:
    """End the process with what `finish` says; stopping Faust's services takes longer than the job."""
    status = 0
    try:
        landing.finish()
    except SystemExit as error:
        print(error.code, file=sys.stderr, flush=True)
        status = 1
    os._exit(status)


if __name__ == "__main__":
    main()
