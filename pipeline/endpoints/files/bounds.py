"""A bound on what a packed file may unpack to: a bomb is left as soon as it shows, with little of it in memory."""

from collections.abc import Iterable, Iterator

from pipeline.imports.rows import BrokenFileError

# Endpoints of one pattern pack to a fiftieth; gzip itself ends at a thousandth.
RATIO_MAX = 200
UNPACKED_BYTES_FREE = 16 << 20


def bound_parts(parts: Iterable[bytes], address: str, packed_bytes: int) -> Iterator[bytes]:
    """The parts of an unpacked file.

    Raises BrokenFileError once they are more than UNPACKED_BYTES_FREE and RATIO_MAX times the packed file.
    """
    bytes_max, done = max(UNPACKED_BYTES_FREE, RATIO_MAX * packed_bytes), 0
    for part in parts:
        done += len(part)
        if done > bytes_max:
            raise BrokenFileError(
                f"File '{address}' has {packed_bytes:,} bytes and unpacks to more than {bytes_max:,}; expected at most {RATIO_MAX} times its "
                "size, since what is packed more tightly is made to fill memory or disk. Every row before it was read; unpack it yourself "
                "and import what comes out."
            )
        yield part
