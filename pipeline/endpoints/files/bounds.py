"""A bound on what a packed file may unpack to. Memory is bounded without it, since files are read in parts: it keeps a few packed bytes from
becoming days of work, and a report of rejected rows that fills the disk."""

from collections.abc import Iterable, Iterator

from pipeline.imports.rows import BrokenFileError

# Endpoints of one pattern pack to a seventieth up to a hundred and fortieth, those with long texts that repeat to a four-hundredth; gzip itself
# ends at about a thousandth, zstd nowhere.
RATIO_MAX = 1000
UNPACKED_BYTES_FREE = 16 << 20
# More than this no packed file may hold, however large it is.
UNPACKED_BYTES_MAX = 1 << 40


def bound_parts(parts: Iterable[bytes], address: str, packed_bytes: int) -> Iterator[bytes]:
    """The parts of an unpacked file.

    Raises BrokenFileError once they are more than UNPACKED_BYTES_FREE and RATIO_MAX times the packed file, or more than UNPACKED_BYTES_MAX.
    """
    bytes_max, done = min(UNPACKED_BYTES_MAX, max(UNPACKED_BYTES_FREE, RATIO_MAX * packed_bytes)), 0
    for part in parts:
        done += len(part)
        if done > bytes_max:
            raise BrokenFileError(
                f"File '{address}' has {packed_bytes:,} bytes and unpacks to more than {bytes_max:,}; expected at most {RATIO_MAX} times its "
                f"size, and at most {UNPACKED_BYTES_MAX:,} bytes, since what is packed more tightly is made to fill a disk. "
                "Every row before it was read; unpack it yourself and import what comes out."
            )
        yield part
