"""A flush begins small and becomes smaller when memory does not suffice. Without this guard it is always as large as the setting says, and is tried as it was."""

from unittest import mock

import pipeline.runner
from pipeline.flush_size import FlushSize


def remove() -> None:
    class ConstantSize(FlushSize):
        def __init__(self, bytes_max: int, held_bytes_max: int) -> None:
            super().__init__(bytes_max, held_bytes_max)
            self.bytes_now, self._held_bytes = bytes_max, held_bytes_max

    mock.patch.object(pipeline.runner, "FlushSize", ConstantSize).start()
    mock.patch.object(pipeline.runner, "is_out_of_memory", return_value=False).start()
