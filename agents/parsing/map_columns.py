"""What must hold of map columns before they are believed: DuckDB's json_transform keeps a name that stands twice, and makes inf of 1e999."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]


def has_distinct_keys(maps: pa.MapArray) -> Mask:
    """For each row whether no key stands twice in its map."""
    bounds = maps.offsets.to_numpy()
    rows = np.repeat(np.arange(len(maps), dtype=np.int64), np.diff(bounds))
    # A row and a key in one number: equal neighbours after sorting are the same key in the same row.
    pairs = np.sort(rows << 32 | maps.keys[bounds[0] : bounds[-1]].dictionary_encode().indices.to_numpy())
    distinct = np.ones(len(maps), np.bool_)
    distinct[pairs[1:][pairs[1:] == pairs[:-1]] >> 32] = False
    return distinct


def has_finite_values(maps: pa.MapArray) -> Mask:
    """For each row whether every value of its map is a number that a 64-bit float holds (neither null nor infinite)."""
    return ~_has_any(maps, ~np.isfinite(maps.items.to_numpy(zero_copy_only=False)))


def has_value(maps: pa.MapArray, value: str) -> Mask:
    """For each row whether some value of its map is this text."""
    return _has_any(maps, pc.fill_null(pc.equal(maps.items, value), False).to_numpy(zero_copy_only=False))


def _has_any(maps: pa.MapArray, items: Mask) -> Mask:
    """For each row whether one of its items is marked."""
    has_any: Mask = np.diff(np.searchsorted(np.flatnonzero(items), maps.offsets.to_numpy())) != 0
    return has_any
