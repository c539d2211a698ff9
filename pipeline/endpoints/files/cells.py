"""Cells that a spreadsheet would run: covered when they are written, uncovered when they are read, so that no value changes.

Excel, LibreOffice and Google Sheets take a cell that begins with one of these for a formula. A ' in front makes it text. A value that
itself begins with ' and such a character gets one more, so that the way back is the same for all.
"""

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_COVERED = re.compile(r"'+[=+\-@\t\r]")


def cover(cell: str) -> str:
    """The cell as it is written: nothing in it begins a formula."""
    return "'" + cell if _RUN.match(cell) else cell


def uncover(cell: str) -> str:
    """The value that a written cell stands for; what others wrote uncovered stays as it is: nothing is ever evaluated."""
    return cell[1:] if cell[0] == "'" and _COVERED.match(cell) else cell
