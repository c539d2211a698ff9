"""Which ids a file has had, and on which line: 16 bytes of memory a row, in sorted runs that are merged as they grow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

# 12 bytes of xxh3-128 and the line: among a hundred million ids two are taken for one with a chance of one in ten million million.
_HASH_BYTES = 12
_Hashes = npt.NDArray[np.bytes_]
_Lines = npt.NDArray[np.uint32]


class SeenIds:
    """Remembers every endpoint id of a file, whatever its case."""

    def __init__(self) -> None:
        self._runs: list[tuple[_Hashes, _Lines]] = []

    def mark(self, ids: Sequence[str], lines: Sequence[int]) -> list[int]:
        """For each id of the next batch the line of the first row that had it, in this batch or before; 0 where it is that one."""
        if not ids:
            return []
        digests = b"".join([xxhash.xxh3_128_digest(lower_id(each).encode())[:_HASH_BYTES] for each in ids])
        found, at = np.frombuffer(digests, dtype=f"S{_HASH_BYTES}"), np.array(lines, dtype=np.uint32)
        distinct, first, back = np.unique(found, return_index=True, return_inverse=True)
        first_lines = at[first]
        is_new = np.ones(len(distinct), dtype=bool)
        for hashes, known_lines in self._runs:
            places = np.minimum(np.searchsorted(hashes, distinct), len(hashes) - 1)
            is_known = hashes[places] == distinct
            first_lines[is_known] = known_lines[places[is_known]]
            is_new &= ~is_known
        earlier: Any = first_lines[back]
        earlier[first[is_new]] = 0
        self._add(distinct[is_new], at[first][is_new])
        return [int(line) for line in earlier]

    def _add(self, hashes: _Hashes, lines: _Lines) -> None:
        """Runs double in length from the last to the first, so that there are few and each id is sorted few times."""
        if not len(hashes):
            return
        while self._runs and len(self._runs[-1][0]) <= 2 * len(hashes):
            last_hashes, last_lines = self._runs.pop()
            hashes, lines = np.concatenate([last_hashes, hashes]), np.concatenate([last_lines, lines])
            order = np.argsort(hashes, kind="stable")
            hashes, lines = hashes[order], lines[order]
        self._runs.append((hashes, lines))


def lower_id(endpoint_id: str) -> str:
    """The id in lower case as `core.endpoints` compares ids, which is DuckDB's `lower`: letter by letter, whatever stands beside it.

    Python's own takes a last Σ for ς, and makes two letters of İ.
    """
    return endpoint_id.lower() if endpoint_id.isascii() else "".join(["i" if each == "İ" else each.lower() for each in endpoint_id])
