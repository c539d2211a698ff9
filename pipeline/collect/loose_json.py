"""JSON read with what strict readers refuse, so that a batch can be taken apart and each part be judged by itself."""

import json
from typing import Any


def parse_loosely(body: bytes) -> Any:
    """JSON that may have NaN, half surrogates, control characters and wrong UTF-8 in it; None when it is none even so.

    A name that stands twice in an object stands twice in its dict: each is a key of its own.
    """
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), strict=False, parse_int=_whole, object_pairs_hook=_build_object)
    except (ValueError, RecursionError):
        return None


def write_loosely(document: Any) -> bytes:
    """The JSON of a part, odd as it was, bytes that are no UTF-8 among it: what a strict reading then refuses."""
    try:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Halves of surrogate pairs, which can only be escaped.
        return json.dumps(document, separators=(",", ":")).encode()


class _Name(str):
    """A name that another one of the same letters stands beside."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other


def _build_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(members)
    return built if len(built) == len(members) else {_Name(name): value for name, value in members}


def _whole(digits: str) -> float:
    # Python refuses to turn thousands of digits into a number; no float holds them either.
    return int(digits) if len(digits) <= 300 else float(digits)
