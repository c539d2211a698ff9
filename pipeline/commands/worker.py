"""`headwater worker`: run one worker until it is told to leave."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

import botocore.exceptions
import faust
import typer
from deltalake.exceptions import DeltaError

from pipeline.config import load_settings
from pipeline.lean_memory import exempt_what_is_loaded, share_arenas
from pipeline.logs import set_up_logs
from pipeline.metrics import WorkerMetrics, serve_metrics
from pipeline.runner import Runner
from pipeline.stores import build_store
from pipeline.topics import ensure_topics
from pipeline.worker import build_worker
from schemas.errors import UnavailableError
from sinks.probe import probe_store

app = typer.Typer()
log = logging.getLogger("headwater.worker")
T = TypeVar("T")


@app.command()
def worker() -> None:
    """Run one worker: consume, validate, deduplicate, enrich and land, exactly once. SIGTERM lands what is buffered and leaves.

    Exit status 0 when told to leave; 2 for a wrong setting or an unfit store; 3 when going on would do harm, or when
    HEADWATER_GAP_POLICY is 'stop' and records were gone before they were read.
    """
    share_arenas()
    settings = load_settings()
    set_up_logs(settings)
    # Until Faust takes the signal: a worker that is told to leave while it waits for its servers leaves at once.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    store = build_store(settings)
    _wait_for(f"the S3 store at '{store.endpoint or 'AWS'}' (HEADWATER_S3_ENDPOINT)", lambda: probe_store(store))
    _wait_for(f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA)", lambda: ensure_topics(settings))
    # Once: names of metrics are taken for the whole process.
    metrics = WorkerMetrics()
    worker_app = _wait_for("the lake's tables", lambda: build_worker(settings, metrics))
    exempt_what_is_loaded()
    serve_metrics(settings.metrics_address_port)
    log.info(
        "Worker %s of group %s starts; metrics on port %d.", settings.worker_instance, settings.worker_group, settings.metrics_address_port
    )
    faust_worker = faust.Worker(worker_app, loglevel="WARNING", override_logging=False, redirect_stdouts=False, quiet=True)
    # It would write escape codes between the log lines.
    faust_worker.spinner = None
    try:
        faust_worker.execute_from_commandline()
    except SystemExit as left:
        _leave(worker_app.runner, worker_app.runner.thread.exit_status or left.code)


def _leave(runner: Runner, status: str | int | None) -> NoReturn:
    """End the process, without waiting for a store that does not answer: what it was asked is in the lake whole or not at all."""
    if runner.thread.is_at_work:
        log.warning("The lake has not answered yet; leaving without its answer. What it did not take will be read again.")
        logging.shutdown()
        os._exit(status if isinstance(status, int) else 0)
    sys.exit(status)


def _wait_for(what: str, attempt: Callable[[], T]) -> T:
    """Try until the system answers; what a person must mend (a wrong setting, an unfit store) is raised at once."""
    backoff = 0.5
    while True:
        try:
            return attempt()
        except (UnavailableError, DeltaError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError) as error:
            log.warning("Waiting %.1f s for %s: %s", backoff, what, error)
            time.sleep(backoff)
            backoff = min(backoff * 2, 10)
