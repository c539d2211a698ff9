"""The progress bar of an import: bytes of all files, rows a second, time left."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


class Watch:
    """Shows how far an import is, on standard error; a terminal sees it move, a log sees its end."""

    def __init__(self, bytes_total: int, is_shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not is_shown,
        )
        self._task = self._progress.add_task("", total=bytes_total, rows=0, rate=0.0)
        self._bytes_before = self._rows = 0
        self._began = time.monotonic()

    def __enter__(self) -> "Watch":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def hashing(self, name: str, done: int, size: int) -> None:
        self._progress.update(self._task, description=f"hashing {name} {100 * done // max(1, size)} %")

    def reading(self, name: str, done: int, rows: int) -> None:
        """`done` bytes of this file are read; `rows` more rows since the last call."""
        self._rows += rows
        rate = self._rows / max(0.001, time.monotonic() - self._began)
        self._progress.update(self._task, description=name, completed=self._bytes_before + done, rows=self._rows, rate=rate)

    def file_done(self, size: int) -> None:
        self._bytes_before += size
        self._progress.update(self._task, completed=self._bytes_before)
