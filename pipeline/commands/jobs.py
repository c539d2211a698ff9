"""`headwater jobs`: run import and export jobs until it is told to leave."""

import logging
import signal
import threading

import typer

from pipeline.config import load_settings
from pipeline.definitions.database import opened_definitions
from pipeline.jobs.runner import JobRunner
from pipeline.lean_memory import collect_seldom
from pipeline.logs import set_up_logs

app = typer.Typer()
log = logging.getLogger("headwater.jobs")


@app.command()
def jobs() -> None:
    """Run the import and export jobs that the HTTP API takes, one at a time; several such processes share them.

    SIGTERM leaves within a batch of rows; the job goes on in the next process that asks.
    """
    settings = load_settings()
    set_up_logs(settings)
    is_over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    collect_seldom()
    with opened_definitions(settings) as engine:
        runner = JobRunner(settings, engine, is_over)
        log.info("Jobs are run by %s; one that is silent for %g s is taken over.", runner.owner, settings.job_lease_secs)
        runner.run()
