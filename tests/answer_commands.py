"""`headwater kpi`, `funnel` and `retention` over a lake of a few rows, in this process and without a store."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner, Result

from pipeline.ask.reader import Reader
from pipeline.ask.spill import SpillFolder
from pipeline.config import Settings
from schemas.errors import HeadwaterError
from tests.lake_rows import Row, library, memory_lake

Run = Callable[..., Result]


@contextmanager
def memory_reader(settings: Settings, events: Sequence[Row]) -> Iterator[Reader]:
    """A reader over these rows."""
    with memory_lake(settings, events) as con, Reader(con, library(), settings, SpillFolder()) as reader:
        yield reader


def runner(monkeypatch: pytest.MonkeyPatch, events: Sequence[Row], **given: str) -> Run:
    """Calls commands as `headwater` does: run("kpi", "txn-emails-sent", ...); `given` are settings."""
    for name, value in given.items():
        monkeypatch.setenv(f"HEADWATER_{name.upper()}", value)

    def run(name: str, *arguments: str) -> Result:
        module = importlib.import_module(f"pipeline.commands.{name}")
        monkeypatch.setattr(module, "open_reader", lambda settings: memory_reader(settings, events))
        return CliRunner().invoke(module.app, list(arguments))

    return run


def refusal(result: Result) -> str:
    """What a command refuses with: the text of its error."""
    assert isinstance(result.exception, HeadwaterError), result.output
    assert result.exception.exit_status == 2
    assert result.stdout == ""
    return str(result.exception)
