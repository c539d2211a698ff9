"""A wall clock of one process that a test moves while it runs. The monotonic clock stays right, as on a machine whose clock is set."""

import mmap
import struct
import subprocess
from pathlib import Path

import pytest

from agents.native.build import find_compiler

_SOURCE = Path(__file__).with_name("wall_clock.c")
_OFFSET = struct.Struct("=q")


class WrongClock:
    """`variables` are for the environment of the process; the library that they name is compiled into `folder`."""

    def __init__(self, folder: Path) -> None:
        compiler = find_compiler()
        if not compiler:
            pytest.skip("there is no C compiler (cc, gcc, clang, or the Python package ziglang); make setup")
        library, file = folder / "wall_clock.so", folder / "clock"
        subprocess.run([*compiler, "-std=c11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", str(_SOURCE), "-o", str(library)], check=True)
        file.write_bytes(_OFFSET.pack(0))
        with file.open("r+b") as opened:
            self._offset = mmap.mmap(opened.fileno(), _OFFSET.size)
        self.variables = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(file)}

    def move(self, secs: int) -> None:
        """From now on it is so far ahead of the right time, or behind it."""
        self._offset[:] = _OFFSET.pack(secs)
