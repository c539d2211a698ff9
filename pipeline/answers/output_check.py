"""Whether an answer can be written as it is asked for: found out before anything is asked, which may take long."""

import os
from pathlib import Path

from schemas.errors import UsageError


def check_output(as_json: bool, as_csv: bool, png: Path | None) -> None:
    """Raises UsageError for two formats at once, and for a picture that is no .png, cannot be written or cannot be drawn."""
    if as_json and as_csv:
        raise UsageError("There are --json and --csv; expected one of the two.")
    if png is not None:
        _check_file(png)
        # Only now: most answers have no picture.
        from pipeline.answers.png_picture import load_figure

        load_figure()


def _check_file(file: Path) -> None:
    if file.suffix.lower() != ".png":
        raise UsageError(f"Option '--png' is '{file}'; expected a file whose name ends in .png, for example kpi.png.")
    if not file.parent.is_dir():
        raise UsageError(f"Option '--png' is '{file}', and there is no folder '{file.parent}'; expected a file in a folder that is there.")
    if file.is_dir():
        raise UsageError(f"Option '--png' is '{file}', which is a folder; expected a file.")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(f"Option '--png' is '{file}', which may not be written; expected a file in a folder that may be.")
