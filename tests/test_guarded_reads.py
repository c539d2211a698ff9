"""Compiled code never reads a byte that is not the record's: its input lies before memory that cannot be read."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.native import build


def read_guarded(seed: int, **rig: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.guarded_reads", str(seed)]
    return subprocess.run(command, env=os.environ | rig, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.full)])
def test_bytes_of_any_kind_are_read_within_their_bounds(seed: int) -> None:
    done = read_guarded(seed)
    assert (done.returncode, done.stdout) == (0, "read within their bounds\n"), done.stderr


@pytest.mark.parametrize(
    ("cut", "put"),
    [
        ("if (varints->at >= varints->end) return false;", ""),
        ("length > all.end - all.at", "false"),
        ("while (at < end && *at != '\"'", "while (*at != '\"'"),
        ("if (cursor->end - cursor->at < size || memcmp", "if (memcmp"),
        ("        if (datum->at >= datum->end) return ENDS_EARLY;\n        uint8_t", "        uint8_t"),
        ("if (size > datum->end - datum->at) return ENDS_EARLY;\n    datum", "datum"),
        ("index >= node->count", "index > node->count + 100000"),
    ],
)
def test_control_without_a_bound_the_same_bytes_end_the_process(tmp_path: Path, cut: str, put: str) -> None:
    assert any(cut in file.read_text() for file in (*build.FOLDER.glob("*.c"), *build.FOLDER.glob("*.h")))
    done = read_guarded(1, RIG_CUT=cut, RIG_PUT=put, RIG_FOLDER=str(tmp_path))
    assert done.returncode == -signal.SIGSEGV, (done.stdout, done.stderr)


def find_sanitizer() -> str | None:
    """The runtime of the compiler's sanitizer of addresses, which must be loaded before anything else; None where there is none."""
    compiler = build.find_compiler()
    if len(compiler) != 1:
        return None
    said = subprocess.run([*compiler, "-print-file-name=libasan.so"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = Path(said.stdout.strip())
    return str(found.resolve()) if found.is_absolute() and found.exists() else None


SANITIZER = find_sanitizer()
SANITIZED = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"


def read_sanitized(folder: Path, **rig: str) -> subprocess.CompletedProcess[str]:
    # Python itself keeps what it allocated.
    options = {"LD_PRELOAD": SANITIZER or "", "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}
    return read_guarded(3, RIG_FOLDER=str(folder), RIG_FLAGS=SANITIZED, **options, **rig)


needs_sanitizer = pytest.mark.skipif(SANITIZER is None, reason="the machine's C compiler has no runtime of the address sanitizer (libasan)")


@needs_sanitizer
def test_sanitizers_find_nothing_in_what_is_read_and_written(tmp_path: Path) -> None:
    done = read_sanitized(tmp_path)
    assert (done.returncode, done.stdout) == (0, "read within their bounds\n"), done.stderr


@needs_sanitizer
@pytest.mark.full
def test_control_sanitizers_find_what_is_written_beyond_its_end(tmp_path: Path) -> None:
    cut = "realloc(heap->bytes, (size_t)capacity)"
    assert cut in (build.FOLDER / "heap.h").read_text()
    done = read_sanitized(tmp_path, RIG_CUT=cut, RIG_PUT="realloc(heap->bytes, (size_t)capacity / 64)")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr, (done.stdout, done.stderr[-2000:])
