"""Each worker leaves time between its flushes for the commits of all the others. Without this guard one that has enough to land flushes at once, again and again."""

from unittest import mock

from pipeline.flush_pace import FlushPace


def remove() -> None:
    mock.patch.object(FlushPace, "secs_apart", 0.0).start()
