"""`headwater maintain`: keep the lake small, once or for ever."""

import logging
import signal
import threading
import time

import typer

from pipeline.config import Settings, load_settings
from pipeline.logs import set_up_logs
from pipeline.maintenance.check_metrics import CheckMetrics
from pipeline.maintenance.check_service import CheckService, build_check_service
from pipeline.maintenance.log_upkeep import GRACE_HOURS_MIN, require_safe_grace, vacuum_fully
from pipeline.maintenance.metrics import MaintenanceMetrics
from pipeline.maintenance.run import Maintenance, TableReport, build_maintenance
from pipeline.metrics import serve_metrics
from pipeline.report import print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer()
log = logging.getLogger("headwater.maintain")

# How often it is asked whether checks are due.
PAUSE_SECS = 5.0


@app.command()
def maintain(
    once: bool = typer.Option(False, "--once", help="One run, then leave; for cron."),
    full_vacuum: bool = typer.Option(
        False, "--full-vacuum", help="Delete also files that no commit names, of uploads that were given up; once, then leave."
    ),
    grace_hours: float | None = typer.Option(
        None, help="Age from which --full-vacuum deletes such a file; 168 (seven days), which is the default, or more."
    ),
    as_json: bool = typer.Option(
        False, "--json", help="With --once, print JSON: [{table, files, small_files, bytes, log_commits, rows_compacted, failure, ...}]."
    ),
) -> None:
    """Compact small files, write checkpoints, clean the log, delete old files, keep the snapshot of dedup keys.

    As a service it also runs the checks of queries/checks, every HEADWATER_CHECK_SECS. Runs beside workers and readers, and beside another `headwater maintain`. Exit status 1 when --once could not keep a table.
    """
    if grace_hours is not None and not full_vacuum:
        raise UsageError(f"Option '--grace-hours' is {grace_hours:g} without '--full-vacuum'; expected both, or neither.")
    if as_json and not (once or full_vacuum):
        raise UsageError("Option '--json' is given for a service that never ends; expected '--once' or '--full-vacuum' with it.")
    grace_hours = GRACE_HOURS_MIN if grace_hours is None else grace_hours
    if full_vacuum:
        require_safe_grace(grace_hours)
    settings = load_settings()
    set_up_logs(settings)
    maintenance = build_maintenance(settings, MaintenanceMetrics())
    if full_vacuum:
        _vacuum(maintenance, grace_hours, as_json)
    elif once:
        _run_once(maintenance, as_json)
    else:
        _serve(settings, maintenance, build_check_service(settings, CheckMetrics()))


def _vacuum(maintenance: Maintenance, grace_hours: float, as_json: bool) -> None:
    deleted = []
    for table in maintenance.tables:
        if table.exists():
            table.refresh()
            deleted.append({"table": table.name, "deleted": vacuum_fully(table, grace_hours, maintenance.clock())})
    if as_json:
        print_json(deleted)
    else:
        print_rows(["table", "files deleted"], [list(each.values()) for each in deleted])


def _run_once(maintenance: Maintenance, as_json: bool) -> None:
    reports: list[TableReport] = []
    for _ in maintenance.run(reports):
        pass
    if as_json:
        print_json(reports)
    else:
        columns = ["table", "files", "small files", "MB", "log commits", "log objects", "rows compacted", "failure"]
        print_rows(columns, [[*list(each.values())[:3], round(each["bytes"] / 1e6, 1), *list(each.values())[4:]] for each in reports])
        waiting = sum(each["small_files"] for each in reports)
        if waiting and not any(each["rows_compacted"] for each in reports):
            print(
                f"Nothing was due: a folder that still grows is compacted at {maintenance.rules.files_max} small files of one size, one of an earlier day an hour after its last file."
            )
    if any(each["failure"] for each in reports):
        raise typer.Exit(1)


def _serve(settings: Settings, maintenance: Maintenance, checks: CheckService) -> None:
    """Run until SIGTERM or SIGINT; it leaves between two steps, and what it leaves undone the next run does.

    Checks are run between two runs of maintenance, which they put off by no more than one of them takes.
    """
    is_over = threading.Event()

    def stop(*_: object) -> None:
        is_over.set()
        checks.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    serve_metrics(settings.maintain_address_port, "MAINTAIN_METRICS_PORT")
    log.info("Maintenance starts, every %g s; metrics on port %d.", settings.maintain_secs, settings.maintain_address_port)
    while not is_over.is_set():
        due_at = time.monotonic() + settings.maintain_secs
        for _ in maintenance.run([]):
            if is_over.is_set():
                break
        while not is_over.is_set() and (time_left := due_at - time.monotonic()) > 0:
            if checks.run_next() is None:
                is_over.wait(min(time_left, PAUSE_SECS))
    checks.close()
