"""The pre-scan: which values are one JSON object in strict UTF-8, told before a columnar parser sees them.

DuckDB's parser takes NaN, comments, trailing commas and any depth; msgspec's takes none of these, and skips what no field asks
for at more than a gigabyte a second. A value that fails here is not judged yet: agents/parsing/exact_json.py says what is wrong with it.
"""

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Values whose UTF-8 is looked at one by one when one among them is wrong.
_ROWS = 256


class _AnyObject(msgspec.Struct):
    """No field is asked for: every member is checked and skipped."""


_decode = msgspec.json.Decoder(_AnyObject).decode


def scan_values(values: pa.Array) -> pa.Array:
    """The values (pa.binary) as text (pa.string, the same bytes), null where one is not one JSON object."""
    passed = _find_utf8(values)
    for row, value in enumerate(values.to_pylist()):
        try:
            _decode(value or b"")
        except (msgspec.MsgspecError, RecursionError):
            passed[row] = False
    _, offsets, data = values.buffers()
    validity = pa.py_buffer(np.packbits(passed, bitorder="little"))
    return pa.Array.from_buffers(pa.string(), len(values), [validity, offsets.slice(values.offset * 4), data])


def _find_utf8(values: pa.Array) -> npt.NDArray[np.bool_]:
    passed = np.ones(len(values), np.bool_)
    for start in range(0, len(values), _ROWS):
        part = values.slice(start, _ROWS)
        try:
            part.cast(pa.string())
        except pa.ArrowInvalid:
            # The cast speaks for all of them.
            passed[start : start + _ROWS] = [_is_utf8(value or b"") for value in part.to_pylist()]
    return passed


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
