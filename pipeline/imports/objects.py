"""Text into JSON objects: one a line, several on a line as Firehose wrote them, spread over lines, or in one array."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from pipeline.imports.rows import BrokenFileError

T = TypeVar("T")
OBJECT_BYTES_MAX = 32 << 20
LINE_BYTES = 1 << 20
SPACE = b" \t\r\n"
# Where objects end is all that is asked of this scanner: it makes no numbers, and what it lets through is judged by `decode`.
_SCANNER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)
_UNFINISHED = {word[:length] for word in ("true", "false", "null", "NaN", "Infinity", "-Infinity") for length in range(1, len(word))} | {
    ".",
    "e",
    "E",
    "e+",
    "e-",
    "E+",
    "E-",
}


@dataclass(frozen=True, slots=True)
class Piece(Generic[T]):
    """One object of the text: its line, its bytes and what `decode` made of them, or the reason why it is none."""

    line: int
    content: bytes
    decoded: T | None
    reason: str | None


def split_objects(parts: Iterable[bytes], address: str, decode: Callable[[bytes], T]) -> Iterator[Piece[T]]:
    """Every object of a text, in order, the same ones whatever the sizes of its parts.

    A whole line that `decode` takes is the quick way. Any other line is scanned for where its objects end; what is no object
    becomes a piece with a reason, and reading goes on at the next line or the next object.

    Raises BrokenFileError at the end when the text breaks off within an object, or when `parts` raised it.
    """
    return _Splitter(parts, address, decode).pieces()


class _Splitter(Generic[T]):
    def __init__(self, parts: Iterable[bytes], address: str, decode: Callable[[bytes], T]) -> None:
        self._parts, self._address, self._decode = iter(parts), address, decode
        self._data = b""
        self._text: str | None = None  # The same as characters, one a byte, for the scanner.
        self._place = 0
        self._line = 1
        self._scan_until = 0  # Up to here there is no whole line that `decode` takes.
        self._separators = SPACE
        self._is_ended = False
        self._failure: BrokenFileError | None = None

    def pieces(self) -> Iterator[Piece[T]]:
        self._fill(3)
        if self._data.startswith(b"\xef\xbb\xbf"):
            self._advance(3)
        if self._skip_separators() and self._data.startswith(b"[", self._place):
            self._separators = SPACE + b",[]"
        while self._skip_separators():
            piece = self._take_line() or self._take_object()
            if piece is None:
                break
            yield piece
        if self._failure is not None:
            raise self._failure

    def _take_line(self) -> Piece[T] | None:
        """The rest of this line, when it is exactly one object."""
        if self._place < self._scan_until:
            return None
        end = self._data.find(b"\n", self._place)
        if end < 0:
            self._fill(LINE_BYTES)
            end = self._data.find(b"\n", self._place)
        self._scan_until = end if end >= 0 else len(self._data)
        content = self._data[self._place : self._scan_until].rstrip(self._separators)
        decoded, reason = self._judge(content)
        if reason is not None:
            return None
        line = self._line
        self._advance(self._scan_until)
        return Piece(line, content, decoded, None)

    def _take_object(self) -> Piece[T] | None:
        """The next object, or what stands in its place; None when the text breaks off within it."""
        try:
            while (end := self._find_object_end()) is None:
                if self._is_ended:
                    self._require_more_lines()
                    return None
                self._fill(max(LINE_BYTES, 2 * (len(self._data) - self._place)))
        except _NoObjectError as error:
            return self._reject(error)
        content, line = self._data[self._place : end], self._line
        self._advance(end)
        decoded, reason = self._judge(content)
        if reason == "Input data was truncated":  # It is whole: msgspec says this of a surrogate without its other half.
            reason = "expected JSON: a \\ud800 to \\udfff stands without its other half"
        return Piece(line, content, decoded, reason)

    def _find_object_end(self) -> int | None:
        """Where the object ends that begins here; None when more text is needed to tell."""
        if self._data[self._place] != ord("{"):
            raise _NoObjectError(self._place, "expected a JSON object, which begins with {", b'{"')
        try:
            return _SCANNER.raw_decode(self._as_text(), self._place)[1]
        except RecursionError:
            raise _NoObjectError(self._place, "expected JSON that is nested less deeply", b"}{") from None
        except json.JSONDecodeError as error:
            if not self._is_unfinished(error):
                raise _NoObjectError(error.pos, f"expected JSON: {error.msg} at byte {error.pos - self._place}", b"}{") from None
        if len(self._data) - self._place > OBJECT_BYTES_MAX:
            raise _NoObjectError(self._place, f"expected an object of at most {OBJECT_BYTES_MAX} bytes", b"}{")
        return None

    def _require_more_lines(self) -> None:
        """At the end of the text within an object: either only its line breaks off, and others follow, or the file does."""
        if self._failure is None and self._data.find(b"\n{", self._place) >= 0:
            raise _NoObjectError(self._place, "expected a whole object: the line breaks off", b"\n{")
        self._failure = self._failure or BrokenFileError(
            f"File '{self._address}' is cut off: the object that begins on line {self._line} does not end; every row before it "
            "was read; fetch the whole file and import it from here: its rows keep the ids that they got."
        )

    def _judge(self, content: bytes) -> tuple[T | None, str | None]:
        try:
            return self._decode(content), None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return None, str(error)

    def _reject(self, error: "_NoObjectError") -> Piece[T]:
        """What stands here up to the end of the line, or to where the next object of the same line begins."""
        skipped = error.place - self._place
        while True:
            line_end = self._data.find(b"\n", self._place)
            ends = [] if line_end < 0 else [line_end]
            begin = self._data.find(
                error.next_object, max(self._place + 1, self._place + skipped - 1), line_end if ends else len(self._data)
            )
            if begin >= 0:
                ends.append(begin + error.next_object.index(b"{"))
            available = len(self._data) - self._place
            if ends or self._is_ended or available > OBJECT_BYTES_MAX:
                end = min(ends, default=len(self._data))
                break
            self._fill(2 * available)
        content, line = self._data[self._place : end], self._line
        self._advance(end)
        return Piece(line, content.rstrip(SPACE), None, error.reason)

    def _is_unfinished(self, error: json.JSONDecodeError) -> bool:
        """Whether more text could still make it right."""
        rest = len(self._data) - error.pos
        if rest <= 0 or error.msg.startswith("Unterminated string"):
            return True
        if error.msg.startswith("Invalid \\u"):
            return rest < 6
        return rest < 10 and self._as_text()[error.pos :] in _UNFINISHED

    def _skip_separators(self) -> bool:
        """Go to the next byte that means something; False at the end of the text."""
        while True:
            rest = self._data[self._place : self._place + 64].lstrip(self._separators)
            if rest:
                self._advance(min(self._place + 64, len(self._data)) - len(rest))
                return True
            if self._place + 64 < len(self._data):
                self._advance(self._place + 64)
            else:
                self._advance(len(self._data))
                if not self._fill(LINE_BYTES):
                    return False

    def _advance(self, place: int) -> None:
        self._line += self._data.count(b"\n", self._place, place)
        self._place = place

    def _fill(self, wanted: int) -> bool:
        """Read until `wanted` bytes lie ahead, or the text ends; True when some were read."""
        parts = [self._data[self._place :]]
        ahead, before = len(parts[0]), len(parts[0])
        while ahead < wanted and not self._is_ended:
            try:
                part = next(self._parts, None)
            except BrokenFileError as error:
                self._failure, part = error, None
            if part is None:
                self._is_ended = True
            else:
                parts.append(part)
                ahead += len(part)
        if ahead == before:
            return False
        self._scan_until -= self._place
        self._data, self._text, self._place = b"".join(parts), None, 0
        return True

    def _as_text(self) -> str:
        if self._text is None:
            self._text = self._data.decode("latin-1")
        return self._text


class _NoObjectError(Exception):
    """What stands here is no object: where that shows, why, and what the next object of the same line begins with."""

    def __init__(self, place: int, reason: str, next_object: bytes) -> None:
        self.place, self.reason, self.next_object = place, reason, next_object
        super().__init__(reason)
