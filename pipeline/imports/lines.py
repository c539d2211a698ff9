"""The lines of a text that comes in parts, counted, none longer than a bound; where the file breaks off, its last line is left out."""

import codecs
import csv
from collections.abc import Iterable, Iterator

LINE_CHARS_MAX = 32 << 20
_KEPT_OF_LONG = 200
# The csv module has one limit for a whole process: readers that want less bound the lines that they hand to it.
csv.field_size_limit(LINE_CHARS_MAX)


class Lines(Iterator[str]):
    """Lines with their ends, `number` that of the last one; bytes that are not of the encoding are lone surrogates, one for each.

    A line of more than `chars_max` characters is not held: its beginning is given, and its number stands in `cut`.
    """

    def __init__(self, parts: Iterable[bytes], encoding: str, chars_max: int = LINE_CHARS_MAX) -> None:
        self.number = 0
        self.cut: set[int] = set()
        self.ends_with_newline = True
        self._parts, self._chars_max = parts, chars_max
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        self._lines = self._read()

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        return line

    def _read(self) -> Iterator[str]:
        rest, is_long = "", False
        for part in self._parts:
            *whole, rest = (rest + self._decoder.decode(part)).split("\n")
            for line in whole:
                yield (self._cut(line) if is_long or len(line) > self._chars_max else line) + "\n"
                is_long = False
            if len(rest) > self._chars_max:
                rest, is_long = rest[:_KEPT_OF_LONG], True
        rest += self._decoder.decode(b"", final=True)
        if rest:
            self.ends_with_newline = False
            yield self._cut(rest) if is_long else rest

    def _cut(self, line: str) -> str:
        self.cut.add(self.number + 1)
        return line[:_KEPT_OF_LONG]
