"""What must hold of map columns before they are believed: DuckDB's from_json keeps a name that stands twice."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
