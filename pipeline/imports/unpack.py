"""Bytes of a packed file as they were before, in parts of bounded size, up to where the file breaks off."""

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from backports import zstd

from pipeline.imports.rows import BrokenFileError

READ_BYTES = 1 << 20
PART_BYTES = 4 << 20


def unpack(stream: BinaryIO, address: str, compression: str) -> Iterator[bytes]:
    """Parts of the content; `compression` is '', gzip or zstd, of one or many members (Firehose and pigz write many).

    Raises BrokenFileError, after everything whole was yielded, when the file is cut off, damaged or goes on with something else.
    """
    if compression == "gzip":
        return _unpack_gzip(stream, address)
    if compression == "zstd":
        return _unpack_zstd(stream, address)
    return iter(lambda: stream.read(READ_BYTES), b"")


def _unpack_gzip(stream: BinaryIO, address: str) -> Iterator[bytes]:
    member, packed, place = zlib.decompressobj(wbits=31), stream.read(READ_BYTES), 0
    try:
        while packed:
            part = member.decompress(packed, PART_BYTES)
            if part:
                yield part
            rest = member.unused_data if member.eof else member.unconsumed_tail
            place += len(packed) - len(rest)
            packed = rest or stream.read(READ_BYTES)
            if member.eof and packed:
                packed = packed.lstrip(b"\0") or stream.read(READ_BYTES)  # Padding, as tape tools write it.
                member = zlib.decompressobj(wbits=31) if packed else member
        while not member.eof and (part := member.decompress(b"", PART_BYTES)):
            yield part
    except zlib.error as error:
        raise _damaged(address, "gzip", place, error) from None
    if not member.eof:
        raise _cut_off(address, "gzip", place)


def _unpack_zstd(stream: BinaryIO, address: str) -> Iterator[bytes]:
    frame, packed, place = zstd.ZstdDecompressor(), stream.read(READ_BYTES), 0
    try:
        while packed or not frame.needs_input:
            part = frame.decompress(packed, PART_BYTES)
            place += len(packed)
            if part:
                yield part
            if frame.eof:
                rest = frame.unused_data
                place -= len(rest)
                packed = rest or stream.read(READ_BYTES)
                frame = zstd.ZstdDecompressor() if packed else frame
                if not packed:
                    return
            else:
                packed = stream.read(READ_BYTES) if frame.needs_input else b""
    except zstd.ZstdError as error:
        raise _damaged(address, "zstd", place, error) from None
    raise _cut_off(address, "zstd", place)


def _cut_off(address: str, compression: str, place: int) -> BrokenFileError:
    return BrokenFileError(
        f"File '{address}' is cut off: its {compression} stream does not end after byte {place}; every whole row before it was read; "
        "fetch the whole file and import it from here: its rows keep the ids that they got, and what was sent is not sent again."
    )


def _damaged(address: str, compression: str, place: int, error: Exception) -> BrokenFileError:
    return BrokenFileError(
        f"File '{address}' is damaged near byte {place} of its {compression} stream ({error}); every whole row before it was read; "
        "fetch the file again and import it from here."
    )
