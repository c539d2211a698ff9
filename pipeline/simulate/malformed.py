"""Messages that cannot become events: for each way of being wrong, the reason that the pipeline should give.

Each kind takes a good record's bytes and gives wrong ones on a single line, so that they can stand in a file of lines too.
"""

from collections.abc import Callable

from schemas.records import Reason

Spoil = Callable[[bytes], bytes]


def _insert(text: bytes) -> Spoil:
    """`text` as the first thing in the object."""
    return lambda value: b"{" + text + b"," + value[1:]


def _replace(old: bytes, new: bytes) -> Spoil:
    """The first `old` is `new`."""
    return lambda value: value.replace(old, new, 1)


def _timestamp(text: bytes) -> Spoil:
    """The value of event_timestamp is `text`."""

    def spoil(value: bytes) -> bytes:
        before, after = value.split(b'"event_timestamp":', 1)
        return before + b'"event_timestamp":' + text + after[after.index(b",") :]

    return spoil


def _without(name: bytes) -> Spoil:
    """The field `name` has another name."""
    return _replace(b'"' + name + b'":', b'"x_' + name + b'":')


def _typed(text: bytes) -> Spoil:
    """The value of event_type is `text`."""

    def spoil(value: bytes) -> bytes:
        before, after = value.split(b'"event_type":', 1)
        return before + b'"event_type":' + text + after[after.index(b",") :]

    return spoil


KINDS: list[tuple[Reason, Spoil]] = [
    (Reason.EMPTY, lambda value: b""),
    (Reason.NOT_UTF8, _insert(b'"note":"caf\xe9"')),
    (Reason.NOT_UTF8, _insert(b'"note":"\xc0\xaf"')),
    (Reason.NOT_JSON, lambda value: b"garbage"),
    (Reason.NOT_JSON, lambda value: value[: len(value) // 2]),
    (Reason.NOT_JSON, lambda value: value + value),
    (Reason.NOT_JSON, lambda value: b"\xef\xbb\xbf" + value),
    (Reason.NOT_JSON, _insert(b'"note":NaN')),
    (Reason.NOT_JSON, _insert(b'"note":"\\ud83d"')),
    (Reason.NOT_JSON, _insert(b'"note":"a\x01b"')),
    (Reason.NOT_JSON, _replace(b'":', b"':")),
    (Reason.TOO_DEEP, _insert(b'"note":' + b"[" * 80 + b"]" * 80)),
    (Reason.TOO_DEEP, _insert(b'"note":' + b'{"n":' * 70 + b"0" + b"}" * 70)),
    (Reason.DUPLICATE_KEY, _insert(b'"event_type":"screen.view"')),
    (Reason.DUPLICATE_KEY, _insert(b'"note":{"a":1,"a":2}')),
    (Reason.NUMBER_OUT_OF_RANGE, _insert(b'"note":1e999')),
    (Reason.NUMBER_OUT_OF_RANGE, _insert(b'"note":' + b"9" * 5000)),
    (Reason.NOT_AN_OBJECT, lambda value: b"[" + value + b"]"),
    (Reason.NOT_AN_OBJECT, lambda value: b'"event"'),
    (Reason.NOT_AN_OBJECT, lambda value: b"null"),
    (Reason.MISSING_FIELD, _without(b"event_type")),
    (Reason.MISSING_FIELD, _without(b"event_timestamp")),
    (Reason.MISSING_FIELD, _without(b"app_id")),
    (Reason.MISSING_FIELD, _without(b"application")),
    (Reason.WRONG_TYPE, _typed(b'{"name":"cart.add"}')),
    (Reason.WRONG_TYPE, _replace(b'"app_id":', b'"app_id":[],"x_app_id":')),
    (Reason.BAD_TIMESTAMP, _timestamp(b"1767225600000000")),
    (Reason.BAD_TIMESTAMP, _timestamp(b"-99999999999999")),
]

# Costly ones come seldom: a message of a megabyte, one nested a hundred thousand deep.
RARE_KINDS: list[tuple[Reason, Spoil]] = [
    (Reason.TOO_LARGE, _insert(b'"note":"' + b"x" * 1_100_000 + b'"')),
    (Reason.TOO_DEEP, _insert(b'"note":' + b"[" * 100_000 + b"]" * 100_000)),
]
RARE_EVERY = 500


def spoil_value(number: int, value: bytes) -> tuple[Reason, bytes]:
    """The `number`-th malformed message of a run, made of the good record `value`: each kind in its turn."""
    if number % RARE_EVERY == RARE_EVERY - 1:
        reason, spoil = RARE_KINDS[number // RARE_EVERY % len(RARE_KINDS)]
    else:
        reason, spoil = KINDS[number % len(KINDS)]
    return reason, spoil(value)
