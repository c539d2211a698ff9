"""What a fix is: dead letters in, their new values out; and the one that changes nothing."""

from typing import Protocol

import pyarrow as pa
import xxhash


class Fix(Protocol):
    """Makes new values of dead letters. `fix_hash` names it in the lake."""

    @property
    def fix_hash(self) -> str | None: ...

    def apply(self, letters: pa.Table) -> list[bytes | None]:
        """The new value of each row of `letters` (columns of the table dead_letters); None leaves that one out.

        Raises UsageError when the fix itself is wrong.
        """

    def close(self) -> None: ...


class NoFix:
    """Sends a dead letter as it was: after the code, or a setting, has changed."""

    fix_hash = None

    def apply(self, letters: pa.Table) -> list[bytes | None]:
        return [value or b"" for value in letters["value"].to_pylist()]

    def close(self) -> None:
        pass


def hash_fix(kind: str, text: str) -> str:
    """xxh3-128 of a fix: the same text under the same kind is the same fix."""
    return xxhash.xxh3_128(f"{kind}\0{text}".encode()).hexdigest()
