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


@pytest.mark.parametrize("seed", [1, 2])
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
    ],
)
def test_control_without_a_bound_the_same_bytes_end_the_process(tmp_path: Path, cut: str, put: str) -> None:
    assert any(cut in file.read_text() for file in (*build.FOLDER.glob("*.c"), *build.FOLDER.glob("*.h")))
    done = read_guarded(1, RIG_CUT=cut, RIG_PUT=put, RIG_FOLDER=str(tmp_path))
    assert done.returncode == -signal.SIGSEGV, (done.stdout, done.stderr)
