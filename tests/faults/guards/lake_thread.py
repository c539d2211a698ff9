"""What touches the lake runs in a thread of its own. Without this guard a flush runs on Faust's event loop itself."""

from collections.abc import Callable
from typing import TypeVar
from unittest import mock

from pipeline.lake_thread import LakeThread

T = TypeVar("T")


async def _run(self: LakeThread, call: Callable[..., T], *arguments: object) -> T:
    return call(*arguments)


def remove() -> None:
    mock.patch.object(LakeThread, "run", _run).start()
