"""A worker that waits before it starts its consumer: `python -m tests.held_worker`.

HOLD_FILE, where it is set, names a file that says when everything is found and Faust is about to start; it goes on once somebody has removed it.
"""

import os
import sys
import time
from pathlib import Path
from unittest import mock

import pipeline.commands.worker
from pipeline.cli import main as run_command
from pipeline.metrics import serve_metrics


def serve_and_hold(port: int) -> None:
    """The last step before Faust starts."""
    serve_metrics(port)
    file = Path(os.environ["HOLD_FILE"])
    file.touch()
    while file.exists():
        time.sleep(0.05)


def main() -> None:
    """Run `headwater worker`, held."""
    if "HOLD_FILE" in os.environ:
        mock.patch.object(pipeline.commands.worker, "serve_metrics", serve_and_hold).start()
    sys.argv = ["headwater", "worker"]
    run_command()


if __name__ == "__main__":
    main()
