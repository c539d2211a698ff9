"""Log lines: text for people, one JSON object a line on request."""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from pipeline.config import Settings

# These speak of every poll or commit; what matters of it we say ourselves.
_QUIET = ("aiokafka", "kafka", "faust", "mode", "pipeline.transport", "pipeline.worker", "botocore", "urllib3", "asyncio")

_TALKATIVE = ("aiokafka", "kafka.")

_COLOURED = re.compile(r"\x1b\[\d*m↳?")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: at, level, logger, message, and error with its trace when there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _as_one_line(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Time, level, logger and message on one line; a trace below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = _as_one_line(record.message)
        return super().formatMessage(record)


class Sparing(logging.Filter):
    """Lets what a library says through once in a while: when Kafka is away, aiokafka says the same forty times a second."""

    def __init__(self, secs: float = 10, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._secs, self._clock = secs, clock
        self._said_at: dict[tuple[str, int, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_TALKATIVE):
            return True
        # By the message before its values are put in: what differs is times and node numbers.
        said, now = (record.name, record.levelno, str(record.msg)), self._clock()
        if now - self._said_at.get(said, -self._secs) < self._secs:
            return False
        self._said_at[said] = now
        return True


def _as_one_line(message: str) -> str:
    """Without line breaks and terminal colours, both of which delta-rs puts into its errors."""
    return " ".join(_COLOURED.sub("", message).split())


def set_up_logs(settings: Settings) -> None:
    """Send all logs to standard error in the chosen form; libraries only from warnings on."""
    logging.Formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    handler.addFilter(Sparing())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))
