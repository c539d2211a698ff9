"""A replay that dies by its own hand before a named step, waits there, or lacks a guard: `python -m tests.rigged_replay ARGUMENTS`.

Environment: RIG_STEP is the step before which it kills itself; with RIG_HOLD it makes that file there instead and waits until it is
gone; RIG_BLIND sends without looking whether the topic has the letters already; RIG_UNNUMBERED begins without the number that all replays share.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pipeline.commands.replay
from pipeline.cli import main
from pipeline.config import Settings
from pipeline.replay.fix import Fix
from pipeline.replay.run import ReplayOptions, ReplayReport, replay_dead_letters
from pipeline.replay.selection import Choice
from pipeline.replay.sending import Sender
from sinks.dead_letter_replays import Chunk, DeadLetterReplays, Letter, Origin, Place
from sinks.lake import LakeTable, Upload

STEPS = (
    "before begin",
    "inside begin",
    "after begin",
    "before fence",
    "before look",
    "before send",
    "before send commit",
    "after send commit",
    "before mark",
    "after mark",
)


def run_step(step: str) -> None:
    if step != os.environ.get("RIG_STEP"):
        return
    # Once: a step may come again.
    del os.environ["RIG_STEP"]
    if "RIG_HOLD" not in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    file = Path(os.environ["RIG_HOLD"])
    file.touch()
    while file.exists():
        time.sleep(0.05)


def replay_rigged(settings: Settings, choice: Choice, fix: Fix, options: ReplayOptions) -> ReplayReport:
    return replay_dead_letters(settings, choice, fix, options, run_step)


def look_at_nothing(self: Sender, chunk: Chunk) -> tuple[dict[Origin, Place], bool]:
    """As if the topic had not been asked: nothing of the chunk is there."""
    return {}, True


def begun_among(self: DeadLetterReplays, letters: Sequence[Letter]) -> list[Origin]:
    """The look of `begin`; behind it, and before its commit, is the step `inside begin`."""
    found = _begun_among(self, letters)
    run_step("inside begin")
    return found


def commit_unnumbered(
    self: LakeTable, uploads: Sequence[Upload], transactions: Mapping[str, int], note: Mapping[str, Any] | None = None
) -> None:
    """As if no replay knew of another."""
    _commit(self, uploads, {name: number for name, number in transactions.items() if name != "replay"}, note)


_begun_among, _commit = DeadLetterReplays._begun_among, LakeTable.commit

if __name__ == "__main__":
    mock.patch.object(DeadLetterReplays, "_begun_among", begun_among).start()
    if "RIG_UNNUMBERED" in os.environ:
        mock.patch.object(LakeTable, "commit", commit_unnumbered).start()
    mock.patch.object(pipeline.commands.replay, "replay_dead_letters", replay_rigged).start()
    if "RIG_BLIND" in os.environ:
        mock.patch.object(Sender, "look", look_at_nothing).start()
    sys.argv = ["headwater", "dead-letters", "replay", *sys.argv[1:]]
    main()
