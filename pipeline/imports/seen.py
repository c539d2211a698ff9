"""Which rows of a file equal an earlier one: 16 bytes of memory a row, sorted runs that are merged as they grow."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash

Hashes = npt.NDArray[np.bytes_]


class SeenRows:
    """Remembers the xxh3-128 of every row's bytes: at that length two different rows are not taken for one."""

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def mark(self, contents: Sequence[bytes]) -> list[bool]:
        """For each row of the next batch, whether an earlier row of the file, or of this batch, has the same bytes."""
        if not contents:
            return []
        found = np.frombuffer(b"".join(xxhash.xxh3_128_digest(content) for content in contents), dtype="S16")
        distinct, first = np.unique(found, return_index=True)
        is_seen = np.ones(len(found), dtype=bool)
        is_seen[first] = False
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            is_seen[first[run[places] == distinct]] = True
        self._add(distinct)
        return [bool(flag) for flag in is_seen]

    def _add(self, run: Hashes) -> None:
        """Runs double in length from the last to the first, so that there are few and each hash is sorted few times."""
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
