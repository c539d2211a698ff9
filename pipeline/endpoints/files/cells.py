"""Cells that a spreadsheet would run: covered when they are written, uncovered when they are read, so that no value changes.

Excel, LibreOffice and Google Sheets take a cell that begins with one of these for a formula, in some languages the full-width ones too; what
is white may be cut off in front of one. A ' in front makes it text. A value that
itself begins with ' and such a character gets one more, so that the way back is the same for all.
"""

import re

_BEGINS = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
_RUN = re.compile("'*" + _BEGINS)
_COVERED = re.compile("'+" + _BEGINS)


def cover(cell: str) -> str:
    """The cell as it is written: nothing in it begins a formula."""
    return "'" + cell if _RUN.match(cell) else cell


def uncover(cell: str) -> str:
    """The value that a written cell stands for; what others wrote uncovered stays as it is: nothing is ever evaluated."""
    return cell[1:] if cell[0] == "'" and _COVERED.match(cell) else cell
