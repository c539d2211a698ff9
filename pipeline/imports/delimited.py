"""CSV and its relatives: lines of cells, named by a header or by the mapping."""

import csv
from collections.abc import Iterable, Iterator

from pipeline.imports.lines import LINE_CHARS_MAX, Lines
from pipeline.imports.mapping import CsvOptions
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import BrokenFileError, FileError, Row, RowError


def read_csv(file: StoredFile, parts: Iterable[bytes], options: CsvOptions) -> tuple[list[str], Iterator[Row]]:
    """Column names, and rows whose values are text by column name.

    Raises FileError when the header names a column twice.
    """
    lines = Lines(parts, options.encoding)
    separator = options.separator if options.separator is not None else ("\t" if ".tsv" in file.name.lower() else ",")
    for _ in range(options.skip_rows):
        next(lines, None)
    cells = (line.split() for line in lines) if not separator else csv.reader(lines, delimiter=separator)
    columns = list(options.columns) or [name.strip() for name in next(cells, [])]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise FileError(
            f"File '{file.address}' names the column '{twice[0]}' twice; expected each name once: name them in the mapping's [csv]."
        )
    return columns, _read_rows(file, lines, cells, columns)


def _read_rows(file: StoredFile, lines: Lines, cells: Iterator[list[str]], columns: list[str]) -> Iterator[Row]:
    number = 0
    while True:
        line = lines.number + 1
        try:
            found = next(cells, None)
        except csv.Error as error:
            raise BrokenFileError(
                f"File '{file.address}' cannot be read as CSV from line {line} on: {error}; is a quote left open there? "
                "Every row before it was read."
            ) from None
        if found is None:
            return
        if found:
            number += 1
            if lines.cut:
                too_long = RowError(None, "\x1f".join(found), f"expected a line of at most {LINE_CHARS_MAX} characters")
                lines.cut.clear()
                yield Row(number, line, b"", too_long)
                continue
            yield Row(number, line, "\x1f".join(found).encode("utf-8", "surrogateescape"), _values(found, columns))


def _values(cells: list[str], columns: list[str]) -> dict[str, str] | RowError:
    if len(cells) != len(columns):
        return RowError(
            None,
            cells,
            f"expected {len(columns)} cells ({', '.join(columns[:20])}), found {len(cells)}",
            kind=f"expected {len(columns)} cells",
        )
    for name, cell in zip(columns, cells, strict=True):
        if not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell):
            return RowError(
                name, cell.encode("utf-8", "surrogateescape"), "expected text in the file's encoding; [csv] encoding of the mapping sets it"
            )
    return dict(zip(columns, cells, strict=True))
