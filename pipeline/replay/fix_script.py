"""A fix by a Python file with `def fix(value: bytes) -> bytes | None`, run in a process of its own."""

import contextlib
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import pyarrow as pa

from pipeline.replay.fix import hash_fix
from schemas.errors import UsageError

# What goes over the pipes: a length before each value, this one for None.
_NONE = 0xFFFFFFFF
_LENGTH = struct.Struct(">I")
_FAILED = 0xFFFFFFFE


class ScriptFix:
    """Calls the file's `fix` for each dead letter: bytes are its new value, None leaves it out.

    What the script prints goes to standard error. One that hangs is ended after `secs_max` for a chunk.
    """

    def __init__(self, file: Path, secs_max: float) -> None:
        """Raises UsageError when the file cannot be read or has no `fix`."""
        try:
            self.fix_hash = hash_fix("script", file.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"Option '--fix-script' is '{file}', which cannot be read ({error}); expected a Python file.") from None
        self._file, self._secs_max = file, secs_max
        command = [sys.executable, "-m", "pipeline.replay.fix_script", str(file.resolve())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._expect_no_failure(self._read())
        except BaseException:
            self.close()
            raise

    def apply(self, letters: pa.Table) -> list[bytes | None]:
        timer = threading.Timer(self._secs_max, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            return [self._fix(value or b"", row) for row, value in enumerate(letters["value"].to_pylist())]
        finally:
            timer.cancel()

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()

    def _fix(self, value: bytes, row: int) -> bytes | None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            # When it is gone, reading says so.
            write_value(self._process.stdin, value)
        found = self._read()
        self._expect_no_failure(found)
        return found if isinstance(found, bytes) else None

    def _read(self) -> bytes | str | None:
        assert self._process.stdout is not None
        try:
            return read_value(self._process.stdout)
        except EOFError:
            raise UsageError(
                f"Script '{self._file}' ended, or took longer than {self._secs_max:g} s for a chunk (HEADWATER_QUERY_SECS_MAX); expected it to "
                "return bytes or None for each value."
            ) from None

    def _expect_no_failure(self, found: bytes | str | None) -> None:
        if isinstance(found, str):
            raise UsageError(
                f"Script '{self._file}' {found}; expected def fix(value: bytes) -> bytes | None, which returns None to leave one out."
            )


def write_value(pipe: IO[bytes], value: bytes | str | None) -> None:
    """Write bytes, None, or a failure as text."""
    if value is None:
        pipe.write(_LENGTH.pack(_NONE))
    elif isinstance(value, str):
        pipe.write(_LENGTH.pack(_FAILED))
        write_value(pipe, value.encode())
        return
    else:
        pipe.write(_LENGTH.pack(len(value)) + value)
    pipe.flush()


def read_value(pipe: IO[bytes]) -> bytes | str | None:
    """What `write_value` wrote. Raises EOFError at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    if length == _NONE:
        return None
    if length == _FAILED:
        failure = read_value(pipe)
        assert isinstance(failure, bytes)
        return failure.decode()
    return pipe.read(length)


def serve(file: str) -> None:
    """In the process of its own: load the file, then a value in, a value out, until the pipe ends."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    names: dict[str, object] = {"__name__": "fix_script", "__file__": file}
    try:
        exec(compile(Path(file).read_text(), file, "exec"), names)
        fix = names["fix"]
        assert callable(fix)
    except BaseException as error:  # noqa: BLE001 - whatever somebody's script raises is told to the command.
        write_value(answers, f"has no function fix that can be called ({type(error).__name__}: {error})")
        return
    write_value(answers, None)
    while True:
        try:
            value = read_value(sys.stdin.buffer)
        except EOFError:
            return
        try:
            found = fix(value)
            is_known = found is None or isinstance(found, (bytes, bytearray))
            answer = bytes(found) if isinstance(found, (bytes, bytearray)) else None
            write_value(answers, answer if is_known else f"returned {type(found).__name__} for {value!r:.200}")
        except BaseException as error:  # noqa: BLE001
            write_value(answers, f"raised {type(error).__name__}: {error} for {value!r:.200}")


if __name__ == "__main__":
    serve(sys.argv[1])
