"""A bitmap over the first bits of the ids: says for most new keys, without a search, that they were never seen."""

import numpy as np
import numpy.typing as npt

from agents.dedup.event_keys import U64

_BITS_MIN = 1 << 13
# At 12 bits a key one new key in thirteen is searched for in vain, at 8 bits one in nine.
_BITS_PER_KEY = 12
_BITS_PER_KEY_MIN = 8


class KeyBitmap:
    """Bit `id >> shift` is set for each id added. Sized for `key_count` keys within `bytes_max` (at least 1 KiB)."""

    def __init__(self, key_count: int, bytes_max: int) -> None:
        wanted = 1 << max(key_count * _BITS_PER_KEY - 1, 1).bit_length()
        allowed = 1 << max(bytes_max * 8, 1).bit_length() - 1
        bits = max(min(wanted, allowed), _BITS_MIN)
        self._bytes = np.zeros(bits // 8, dtype=np.uint8)
        self._shift = np.uint64(64 - (bits.bit_length() - 1))
        self._marked = 0
        self._marked_max = max(bits // _BITS_PER_KEY_MIN, 2 * key_count)

    @property
    def nbytes(self) -> int:
        return self._bytes.nbytes

    @property
    def is_crowded(self) -> bool:
        """So much was added since it was made, keys that have left included, that a new bitmap pays."""
        return self._marked > self._marked_max

    def add(self, ids: U64) -> None:
        """Mark `ids`, which are sorted."""
        slots = ids >> self._shift
        places = (slots >> np.uint64(3)).astype(np.int64)
        bits = np.left_shift(1, (slots & np.uint64(7)).astype(np.uint8), dtype=np.uint8)
        starts = np.flatnonzero(np.concatenate(([True], places[1:] != places[:-1])))
        self._bytes[places[starts]] |= np.bitwise_or.reduceat(bits, starts)
        self._marked += len(ids)

    def may_hold(self, ids: U64) -> npt.NDArray[np.bool_]:
        """False: the id was never added; True: it must be looked for."""
        slots = ids >> self._shift
        found: npt.NDArray[np.bool_] = (
            self._bytes[(slots >> np.uint64(3)).astype(np.int64)] >> (slots & np.uint64(7)).astype(np.uint8)
        ) & 1 == 1
        return found
