"""JSON read with what strict readers refuse, so that a batch can be taken apart and each part be judged by itself."""

import json
from typing import Any


def parse_loosely(body: bytes) -> Any:
    """JSON that may have NaN, half surrogates, control characters and wrong UTF-8 in it; None when it is none even so."""
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), strict=False, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def write_loosely(document: Any) -> bytes:
    """The JSON of a part, odd as it was: what a strict reading then refuses."""
    return json.dumps(document, separators=(",", ":")).encode()


def _whole(digits: str) -> float:
    # Python refuses to turn thousands of digits into a number; no float holds them either.
    return int(digits) if len(digits) <= 300 else float(digits)
