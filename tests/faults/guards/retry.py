"""A flush that fails is tried until it works. Without this guard its records are given up, and the stream goes on; the lake's offsets would still
notice, so `offset_check` goes with it."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar
from unittest import mock

from faust.types import TP

from agents.batch import Batch
from pipeline.lake_thread import GivenUpError
from pipeline.runner import Runner
from pipeline.takeover import Stream

log = logging.getLogger(__name__)

T = TypeVar("T")
_flush = Runner._flush


def _try_once(attempt: Callable[[], T], is_wanted: Callable[[], bool]) -> T:
    try:
        return attempt()
    except Exception as error:
        log.exception("A flush failed, and its records are left.")
        raise GivenUpError from error


def _flush_once(self: Runner, stream: Stream, batches: Sequence[Batch]) -> dict[TP, int]:
    with mock.patch.object(self.thread, "retry", _try_once):
        return _flush(self, stream, batches)


def remove() -> None:
    mock.patch.object(Runner, "_flush", _flush_once).start()
