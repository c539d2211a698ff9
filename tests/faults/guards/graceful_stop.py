"""SIGTERM is a wish: a worker lands what it has taken in first. Without this guard it ends on the spot."""

import signal
from typing import Any
from unittest import mock

import mode.worker


def _end_on_the_spot(_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def remove() -> None:
    mock.patch.object(mode.worker.Worker, "install_signal_handlers", _end_on_the_spot).start()
