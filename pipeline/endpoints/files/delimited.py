"""CSV of endpoints: a header of dot paths, then a row for each endpoint. UTF-8; cells are text, and nothing in them is evaluated."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator

from pipeline.endpoints.files.columns import PREFIXES, Columns, is_known_column
from pipeline.imports.lines import Lines
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import BrokenFileError, FileError, OpenEndError, Row, RowError

LINE_CHARS_MAX = 4 << 20
# A quote that is left open ends here, and not at the end of the file: what is read again of it is bounded, so that all is read in linear time.
ROW_LINES_MAX = 100
SEPARATORS = (",", ";", "\t")
_BOM = "\ufeff"


def read_csv(file: StoredFile, parts: Iterable[bytes]) -> Iterator[Row]:
    """Rows whose values are the endpoint's JSON, or the RowError of what is none.

    Raises FileError for an empty file and for columns that do not fit; the rows raise BrokenFileError where the file breaks off.
    """
    lines = _Replayed(Lines(parts, "utf-8", LINE_CHARS_MAX))
    separator, header = _read_header(file, lines)
    return _read_rows(file, lines, Columns(file.address, header), separator)


def _read_header(file: StoredFile, lines: "_Replayed") -> tuple[str, list[str]]:
    """The separator and the names of the first line that holds something; a name in quotes may go on over several.

    Excel writes ; in much of Europe: the separator is the one by which most names are those of columns.
    """
    found: list[tuple[int, str, list[str]]] = []
    failure: csv.Error | None = None
    lines.skip_empty()
    for separator in SEPARATORS:
        try:
            names = next(csv.reader(lines, strict=True, delimiter=separator), None)
        except csv.Error as error:
            names, failure = [], failure or error
        if names is None:
            raise FileError(
                f"File '{file.address}' is empty; expected a header with the columns of an endpoint (Id,Address,ChannelType,...)."
            )
        names = [name if name.startswith(PREFIXES) else name.strip() for name in names]
        found.append((sum(map(is_known_column, names)), separator, names))
        if separator != SEPARATORS[-1]:
            lines.begin_again()
    if lines.is_cut:
        raise FileError(f"File '{file.address}' has a header of more than {LINE_CHARS_MAX:,} characters; expected columns of an endpoint.")
    count, separator, header = max(found, key=lambda each: each[0])
    if failure is not None and not count:
        if "\r" in lines.taken[0].rstrip("\r\n"):
            raise FileError(
                f"File '{file.address}' has lines that end in a carriage return alone; expected line feeds, with a carriage return or "
                "without: convert the file first (tr '\\r' '\\n')."
            )
        raise FileError(f"File '{file.address}': its header, up to line {lines.number}, cannot be read as CSV ({failure}).")
    problem = next((odd for name in header if (odd := _problem_of(name)) is not None), None)
    if problem is not None:
        raise FileError(f"File '{file.address}' has '{problem.value}' in its header; {problem.reason}.")
    lines.begin_again()
    next(csv.reader(lines, strict=True, delimiter=separator))
    return separator, header


def _read_rows(file: StoredFile, lines: "_Replayed", columns: Columns, separator: str) -> Iterator[Row]:
    number = 0
    reader = csv.reader(lines, strict=True, delimiter=separator)
    while True:
        lines.begin_row()
        line = lines.number + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if lines.is_ended and len(lines.taken) == 1 and lines.is_unfinished():
                raise _cut_off(file, line) from None
            number += 1
            yield Row(number, line, b"", _open_quote(lines, error))
            continue
        if cells is None:
            return
        if not cells:
            continue
        number += 1
        yield Row(number, line, b"", _read_row(file, lines, cells, line, columns))


def _open_quote(lines: "_Replayed", error: csv.Error) -> RowError:
    """The first line of what cannot be read; those after it are read again, as rows of their own."""
    kind = OpenEndError if lines.is_ended else RowError
    first = lines.begin_again_after_first()
    return kind(None, first.rstrip("\r\n"), f"expected cells of CSV: {error}; is a quote left open there?", "expected cells of CSV")


def _read_row(file: StoredFile, lines: "_Replayed", cells: list[str], line: int, columns: Columns) -> object:
    if lines.is_cut:
        return RowError(None, cells[0], f"expected a line of at most {LINE_CHARS_MAX:,} characters")
    if lines.is_odd:
        problem = next((found for text in lines.taken if (found := _problem_of(text)) is not None), None)
        if problem is not None:
            return problem
    try:
        return columns.build(cells)
    except RowError as error:
        if len(cells) < columns.count and lines.is_unfinished():
            raise _cut_off(file, line) from None
        return error


def _problem_of(text: str) -> RowError | None:
    """Bytes that are not UTF-8: the decoder left a lone surrogate for each."""
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start : error.end].encode("utf-8", "surrogateescape")
        shown = text[max(0, error.start - 40) : error.end + 20].rstrip("\r\n").encode("utf-8", "surrogateescape")
        return RowError(
            None, shown, f"expected UTF-8, found byte 0x{found[0]:02x} in another encoding: convert the file first (iconv -t UTF-8)"
        )
    return None


def _cut_off(file: StoredFile, line: int) -> BrokenFileError:
    return BrokenFileError(
        f"File '{file.address}' is cut off: the row that begins on line {line} does not end; every row before it was read; fetch the whole "
        "file and import it from here: its rows keep the ids that they got."
    )


class _Replayed(Iterator[str]):
    """Lines of which those of one row can be given again: where a quote was left open, the lines after the first are rows of their own."""

    def __init__(self, lines: Lines) -> None:
        self._lines, self._again = lines, deque[str]()
        self.number = 0
        self.is_ended = False
        self.begin_row()

    def begin_row(self) -> None:
        self.taken: list[str] = []
        self._chars = 0
        self.is_odd = self.is_cut = False

    def skip_empty(self) -> None:
        """Pass over lines without anything in them, as exporters put them in front of a header."""
        self.begin_row()
        for line in self:
            if line.strip("\r\n,;\t "):
                self.begin_again()
                return
            self.begin_row()

    def __next__(self) -> str:
        if self.taken and (len(self.taken) >= ROW_LINES_MAX or self._chars > LINE_CHARS_MAX):
            raise csv.Error(f"a row goes on for more than {ROW_LINES_MAX} lines, or {LINE_CHARS_MAX:,} characters")
        if self._again:
            line = self._again.popleft()
        else:
            try:
                line = next(self._lines)
            except StopIteration:
                self.is_ended = True
                raise
        self.number += 1
        if not line.isascii():
            self.is_odd = True
            line = line.removeprefix(_BOM) if self.number == 1 else line
        self.taken.append(line)
        self._chars += len(line)
        if self._lines.cut and self.number in self._lines.cut:
            self.is_cut = True
        return line

    def is_unfinished(self) -> bool:
        """Whether the row that was taken last is all that is left, and the text ends without an end of line."""
        return not self._again and self._is_last() and not self.taken[-1].endswith("\n")

    def begin_again_after_first(self) -> str:
        """Give all but the first line of this row again; returns the first."""
        first, *others = self.taken
        self._give_again(others)
        return first

    def begin_again(self) -> None:
        """Give all lines of this row again."""
        self._give_again(self.taken)
        self.begin_row()

    def _give_again(self, lines: list[str]) -> None:
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)
        self.is_ended = False

    def _is_last(self) -> bool:
        return not self._lines.ends_with_newline
