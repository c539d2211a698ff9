"""Messages that are no events, by class, each with the reason that its dead letter must have."""

from schemas.records import Reason
from tests.test_validate import BAD
from tests.validate_inputs import event, with_raw

POISON: dict[str, tuple[bytes | None, Reason]] = {name: (value, reason) for name, (value, reason, _) in BAD.items()} | {
    "over the limit": (event(note="x" * 1_000_000), Reason.TOO_LARGE),
    "Avro of an unknown schema": (b"\xc3\x01abcdefgh" + b"x" * 20, Reason.UNKNOWN_SCHEMA),
    "Avro of an unknown id": (b"\0\0\0\0\x07" + b"x" * 20, Reason.UNKNOWN_SCHEMA),
    "Avro that names no schema": (b"\xc3\x01", Reason.NOT_AVRO),
    "5,000 digits in a metric": (event().replace(b"9.5", b"9" * 5000), Reason.NUMBER_OUT_OF_RANGE),
    "two objects on two lines": (event() + b"\n" + event(), Reason.NOT_JSON),
    "cut within a character": (with_raw(b'"x":"caf\xc3"'), Reason.NOT_UTF8),
}
