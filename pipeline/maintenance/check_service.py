"""The checks of queries/checks as a service: run over and over within maintenance's loop, one step a check, and said in metrics and log."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.ask.checks import CheckResult, State, left_out_checks, list_checks, run_check
from pipeline.ask.library import load_library
from pipeline.ask.reader import Reader, open_reader
from pipeline.ask.sql_checker import NO_REASONS
from pipeline.ask.views import View
from pipeline.config import Settings
from pipeline.maintenance.check_metrics import CheckMetrics
from schemas.errors import HeadwaterError, UsageError

log = logging.getLogger("headwater.checks")

# A process that is started again and again has no time for checks; one that stays has them soon.
FIRST_SECS = 60
# Workers and readers of the same machine go on beside it.
THREADS = 1


class CheckService:
    """Runs these checks every `secs`, on the lake as it is when a round begins; 0 never does.

    `clock` is in seconds since 1970, `open_lake` opens a reader; both are passed in by tests. `left_out` are checks of one's own that
    cannot be used, with the reason: each round counts them as not run. What is added to one's own folder later is run after a restart.
    """

    def __init__(
        self,
        checks: Sequence[View],
        secs: float,
        metrics: CheckMetrics,
        open_lake: Callable[[], Reader],
        clock: Callable[[], float] = time.time,
        left_out: Mapping[str, str] = NO_REASONS,
    ) -> None:
        self._checks, self._secs, self._metrics, self._open_lake, self._clock = checks, secs, metrics, open_lake, clock
        self._left_out = left_out
        self._due_at = clock() + min(FIRST_SECS, secs)
        self._round: Iterator[CheckResult] | None = None
        self._reader: Reader | None = None
        self._is_stopped = False
        for check in checks if secs else ():
            metrics.declare(check.name, str(check.severity))
        for result in left_out_checks(left_out) if secs else ():
            metrics.declare(result.name, str(result.severity))

    def run_next(self) -> CheckResult | None:
        """Run the next check of the round, or begin one when it is due; None when there is nothing to do now."""
        if self._is_stopped or not self._secs:
            return None
        if self._round is None:
            if self._clock() < self._due_at:
                return None
            self._due_at = self._clock() + self._secs
            self._round = self._run_all()
        result = next(self._round, None)
        if result is None:
            self._round = None
        return result

    def stop(self) -> None:
        """End the check that runs, of which nothing is said then; called by a signal's handler too."""
        self._is_stopped = True
        if self._reader is not None:
            self._reader.con.interrupt()

    def close(self) -> None:
        """Leave a round in the middle; what it holds is given back."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _run_all(self) -> Iterator[CheckResult]:
        """One round. When the lake cannot be opened, no check could be run: each is counted so."""
        try:
            self._reader = self._open_lake()
        except HeadwaterError as error:
            log.error("The lake could not be opened for its checks, which are tried again in %g s: %s", self._secs, error)
            for check in self._checks:
                self._metrics.failures.labels(check.name).inc()
            return
        try:
            # The files of one's own may have changed since the start.
            there = {view.name for view in self._reader.views}
            gone = {check.name: "its file is not there any more, or cannot be used" for check in self._checks if check.name not in there}
            for result in left_out_checks({**self._left_out, **gone}):
                self._say(result)
            for check in self._checks:
                if check.name not in there:
                    continue
                result = run_check(self._reader, check.name)
                if self._is_stopped:
                    return
                self._say(result)
                yield result
        finally:
            self.close()

    def _say(self, result: CheckResult) -> None:
        if result.row_count is None:
            self._metrics.failures.labels(result.name).inc()
            log.error("Check '%s' could not be run, and is tried again in %g s: %s", result.name, self._secs, result.error)
            return
        self._metrics.rows.labels(result.name, str(result.severity)).set(result.row_count)
        self._metrics.seconds.labels(result.name).set(result.secs)
        self._metrics.run_at.labels(result.name).set(self._clock())
        if result.state is not State.OK:
            level = logging.ERROR if result.state is State.FAIL else logging.WARNING
            first = next(iter(result.rows), {})
            log.log(level, "Check '%s' returns %d rows. %s The first: %s", result.name, result.row_count, result.grain, first)


def build_check_service(settings: Settings, metrics: CheckMetrics) -> CheckService:
    """Wire the service; nothing runs yet. Raises ViewError for a file of queries/ that cannot be used; what of one's own cannot is logged."""
    try:
        library = load_library(own=settings.queries_folder)
    except UsageError as error:
        log.error("Only the checks of queries/ are run: %s", error)
        library = load_library()
        settings = settings.model_copy(update={"queries_folder": None})
    return CheckService(
        list_checks(library.views), settings.check_secs, metrics, lambda: open_reader(settings, threads=THREADS), left_out=library.left_out
    )
