"""An API whose guests' keys live a few seconds: `python -m tests.rigged_api`, with the seconds in RIG_GUEST_SECS."""

import os
from unittest import mock

import pipeline.auth.guests
from pipeline.commands.serve import app as serve


def app() -> None:
    """Run `headwater serve`, rigged."""
    mock.patch.object(pipeline.auth.guests, "LIFE_SECS", int(os.environ["RIG_GUEST_SECS"])).start()
    serve()


if __name__ == "__main__":
    app()
