"""The release before this one, as it stood: its files in a folder, its compiled module beside them, the libraries of this checkout's .venv."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# The last commit before landing was put under the proof of faults, which mended it. It stands in for a release while there is no tag v*.
BEFORE_THE_FIRST_TAG = "12cde90e06"


def check_out(folder: Path) -> Path:
    """Put the release into a folder that is there; the test is skipped where the history does not reach so far."""
    try:
        archive = subprocess.run(["git", "archive", _find()], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"git has no commit {BEFORE_THE_FIRST_TAG} here; a whole clone has it: git fetch --unshallow")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    subprocess.run([sys.executable, "-m", "agents.native.build"], cwd=folder, check=True)
    return folder


def _find() -> str:
    """The newest tag v* before this commit, or what stands in for it."""
    asked = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"]
    found = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else BEFORE_THE_FIRST_TAG
