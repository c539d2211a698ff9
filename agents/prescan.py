"""The pre-scan: which values are one JSON object in strict UTF-8, told before a columnar parser sees them.

DuckDB's parser takes NaN, comments, trailing commas and any depth; msgspec's takes none of these, and skips what no field asks
for at more than a gigabyte a second. A value that fails here is not judged yet: agents/exact_json.py says what is wrong with it.
"""

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


class _AnyObject(msgspec.Struct):
    """No field is asked for: every member is checked and skipped."""


_decode = msgspec.json.Decoder(_AnyObject).decode


def scan_values(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_]]:
    """Find the values (pa.binary) that are one JSON object each.

    Returns the values as text (pa.string), null where they are not strict UTF-8, and a mask of those that passed.
    """
    texts = _as_texts(values)
    passed = np.ones(len(values), np.bool_)
    if texts.null_count:
        passed &= texts.is_valid().to_numpy(zero_copy_only=False)
    for row, value in enumerate(values.to_pylist()):
        try:
            _decode(value or b"")
        except (msgspec.MsgspecError, RecursionError):
            passed[row] = False
    return texts, passed


def _as_texts(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        # The cast speaks for the whole batch; the few that are wrong are looked for one by one.
        is_text = np.fromiter((_is_utf8(value) for value in values.to_pylist()), np.bool_, len(values))
        return pc.if_else(is_text, values, pa.scalar(None, pa.binary())).cast(pa.string())


def _is_utf8(value: bytes | None) -> bool:
    if value is None:
        return False
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
