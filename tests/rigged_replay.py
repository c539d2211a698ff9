"""A replay that dies by its own hand before a named step, waits there, or lacks a guard: `python -m tests.rigged_replay ARGUMENTS`.

Environment: RIG_STEP is the step before which it kills itself; with RIG_HOLD it makes that file there instead and waits until it is
gone; RIG_BLIND sends without looking whether the topic has the letters already.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import pipeline.commands.replay
from pipeline.cli import main
from pipeline.config import Settings
from pipeline.replay.fix import Fix
from pipeline.replay.run import ReplayOptions, ReplayReport, replay_dead_letters
from pipeline.replay.selection import Choice
from pipeline.replay.sending import Sender
from sinks.dead_letter_replays import Chunk, Origin, Place

STEPS = (
    "before begin",
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
    if "RIG_HOLD" not in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    file = Path(os.environ["RIG_HOLD"])
    file.touch()
    while file.exists():
        time.sleep(0.05)


def replay_rigged(settings: Settings, choice: Choice, fix: Fix, options: ReplayOptions) -> ReplayReport:
    return replay_dead_letters(settings, choice, fix, options, run_step)


def look_at_nothing(self: Sender, chunk: Chunk) -> Mapping[Origin, Place]:
    """As if the topic had not been asked: nothing of the chunk is there."""
    return {}


if __name__ == "__main__":
    mock.patch.object(pipeline.commands.replay, "replay_dead_letters", replay_rigged).start()
    if "RIG_BLIND" in os.environ:
        mock.patch.object(Sender, "look", look_at_nothing).start()
    sys.argv = ["headwater", "dead-letters", "replay", *sys.argv[1:]]
    main()
