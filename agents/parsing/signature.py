"""The signature of a JSON object: figures counted in its bytes that prove, without parsing again, that no member was passed over.

A member is a name, a colon and a value. Where a message has as many members as columns were filled from it, each from a member of
its own, nothing is left over and no name stands twice. Three facts make counting byte pairs as good as parsing:

- Before a structural quote stands no backslash, unless a string ends in an escaped backslash; messages with \\\\" are set aside.
- The quote that ends a name is followed by the colon, unless white space stands between; messages with a quote before white space
  are set aside. So `":` is found at least once for each member, and more often only where a text begins with a colon.
- The byte after that pair (after one space at most) tells texts and objects from all else; what is further off counts as all else.

So `members` is never too small, and an equal count of filled columns is exact.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Counts = npt.NDArray[np.int64]

_QUOTE, _COLON, _BACKSLASH, _BRACE, _SPACE = b'":\\{ '
# Rows looked at in one go: the bytes and their masks stay in the processor's cache.
_ROWS = 2000


@dataclass(frozen=True)
class Signature:
    """Figures of each message. `is_countable` is False where they prove nothing."""

    members: Counts
    objects: Counts
    others: Counts
    """Members whose value is neither a text nor an object: numbers, literals, arrays."""
    is_countable: npt.NDArray[np.bool_]


def count_members(values: pa.Array) -> Signature:
    """The signature of each value (pa.binary or pa.string). It means something only for values that are JSON objects."""
    _, offsets_buffer, data_buffer = values.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.empty(0, np.uint8)
    parts = [_count(data, offsets[start : start + _ROWS + 1]) for start in range(0, len(values), _ROWS)]
    if not parts:
        empty = np.empty(0, np.int64)
        return Signature(empty, empty, empty, np.empty(0, np.bool_))
    return Signature(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _count(data: npt.NDArray[np.uint8], bounds: Counts) -> tuple[Counts, Counts, Counts, npt.NDArray[np.bool_]]:
    text = data[bounds[0] : bounds[-1]]
    edges = bounds - bounds[0]
    quotes = text[:-2] == _QUOTE
    following = text[1:-1]
    found = np.flatnonzero(quotes & (following == _COLON))
    found = found[text[found - 1] != _BACKSLASH]
    # What is looked at never leaves an object, which ends in a brace; what is no object may end anywhere.
    first = text.take(found + 2, mode="clip")
    spaced = np.flatnonzero(first == _SPACE)
    if len(spaced):
        first[spaced] = text.take(found[spaced] + 3, mode="clip")
    is_object = first == _BRACE
    is_other = ~is_object & (first != _QUOTE)
    places = np.searchsorted(found, edges)
    is_countable = np.ones(len(edges) - 1, np.bool_)
    before_space = np.flatnonzero(quotes & (following <= _SPACE))
    _clear(is_countable, before_space[text[before_space - 1] != _BACKSLASH], edges)
    backslashes = np.flatnonzero((text[:-2] == _BACKSLASH) & (following == _BACKSLASH))
    _clear(is_countable, backslashes[text[backslashes + 2] == _QUOTE], edges)
    return np.diff(places), _count_between(is_object, places), _count_between(is_other, places), is_countable


def _count_between(mask: npt.NDArray[np.bool_], places: Counts) -> Counts:
    return np.diff(np.searchsorted(np.flatnonzero(mask), places))


def _clear(is_countable: npt.NDArray[np.bool_], found: Counts, edges: Counts) -> None:
    """Set aside the messages in which something was found."""
    is_countable[np.searchsorted(edges, found, side="right") - 1] = False
