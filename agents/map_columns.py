"""What must hold of map columns before they are believed: DuckDB's json_transform keeps a name that stands twice, and makes inf of 1e999."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]


def has_distinct_keys(maps: pa.ChunkedArray) -> Mask:
    """For each row whether no key stands twice in its map."""
    return _join([_distinct_keys(chunk) for chunk in maps.chunks])


def has_finite_values(maps: pa.ChunkedArray) -> Mask:
    """For each row whether every value of its map is a number that a 64-bit float holds (neither null nor infinite)."""
    return _join([_finite_values(chunk) for chunk in maps.chunks])


def _distinct_keys(maps: pa.MapArray) -> Mask:
    bounds = maps.offsets.to_numpy()
    rows = np.repeat(np.arange(len(maps), dtype=np.int64), np.diff(bounds))
    # A row and a key in one number: equal neighbours after sorting are the same key in the same row.
    pairs = np.sort(rows << 32 | maps.keys[bounds[0] : bounds[-1]].dictionary_encode().indices.to_numpy())
    distinct = np.ones(len(maps), np.bool_)
    distinct[pairs[1:][pairs[1:] == pairs[:-1]] >> 32] = False
    return distinct


def _finite_values(maps: pa.MapArray) -> Mask:
    wrong = np.flatnonzero(~np.isfinite(maps.items.to_numpy(zero_copy_only=False)))
    is_finite: Mask = np.diff(np.searchsorted(wrong, maps.offsets.to_numpy())) == 0
    return is_finite


def _join(parts: list[Mask]) -> Mask:
    return np.concatenate(parts) if parts else np.empty(0, np.bool_)
