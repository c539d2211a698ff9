"""Bodies of requests: read within bounds of size, time and memory, unpacked without falling for a bomb."""

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

from backports import zstd
from starlette.requests import ClientDisconnect, Request

from pipeline.api.errors import ApiError, bad_request, too_large

# Where the bytes that a request holds stand in its scope.
_HELD = "headwater.held"
# Members of a gzip body, frames of a zstd body: senders write one, and each costs a copy of what follows it.
MEMBERS_MAX = 16
_UNPACKERS: dict[str, Callable[[], Any]] = {"gzip": lambda: zlib.decompressobj(31), "zstd": zstd.ZstdDecompressor}


class Bodies:
    """Reads bodies; together, packed and unpacked, they never hold more than `held_bytes_max`, each until its request is answered.

    A request for which there is no room is answered at once with 500, which every SDK tries again.
    """

    def __init__(self, bytes_max: int, held_bytes_max: int, read_secs_max: float) -> None:
        self._bytes_max, self._held_bytes_max, self._read_secs_max = bytes_max, held_bytes_max, read_secs_max
        self.bytes_held = 0

    async def read(self, request: Request, bytes_max: int | None = None) -> bytes:
        """The body as it came over the wire, at most `bytes_max` or what is configured.

        Raises ApiError: 413 over the bound, 408 when it takes too long, 500 when too much is held already.
        """
        most = self._bytes_max if bytes_max is None else min(bytes_max, self._bytes_max)
        # Who has shown no key yet, and has little room, shares a quarter of what there is.
        held_bytes_max = self._held_bytes_max if bytes_max is None else self._held_bytes_max // 4
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and (len(declared) > 18 or int(declared) > most):
            raise _too_large(most)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_secs_max):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > most:
                        raise _too_large(most)
                    self._hold(request, len(chunk), held_bytes_max)
                    chunks.append(chunk)
        except TimeoutError:
            message = f"The body had not come after {self._read_secs_max:g} s; send it again."
            raise ApiError(408, "RequestTimeoutException", message, {"connection": "close"}) from None
        except ClientDisconnect:
            raise ApiError(400, "BadRequestException", "The client went away before its body had come.") from None
        return b"".join(chunks)

    def unpack(self, request: Request, body: bytes, bytes_max: int | None = None) -> bytes:
        """The body without its content encoding: gzip, zstd or identity.

        Raises ApiError: 415 for another encoding, 400 for a broken one, 413 when what is packed is over the bound, 500 as `read`.
        """
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding in {"", "identity", "aws-chunked"}:
            return body
        if encoding not in _UNPACKERS:
            message = f"Header 'content-encoding' is '{encoding[:40]}'; expected gzip, zstd or identity."
            raise ApiError(415, "UnsupportedMediaTypeException", message)
        most = self._bytes_max if bytes_max is None else min(bytes_max, self._bytes_max)
        unpacked = unpack(body, encoding, min(most, max(0, self._held_bytes_max - self.bytes_held)))
        if unpacked is None:
            raise _too_large(most) if most <= self._held_bytes_max - self.bytes_held else _busy()
        self._hold(request, len(unpacked), self._held_bytes_max)
        return unpacked

    def release(self, scope: Any) -> None:
        """Let go of what a request held; called once it is answered."""
        self.bytes_held -= scope.pop(_HELD, 0)

    def _hold(self, request: Request, size: int, held_bytes_max: int) -> None:
        self.bytes_held += size
        request.scope[_HELD] = request.scope.get(_HELD, 0) + size
        if self.bytes_held > held_bytes_max:
            raise _busy()


def unpack(body: bytes, encoding: str, bytes_max: int) -> bytes | None:
    """What a packed body holds; None when that is more than `bytes_max`.

    Raises ApiError (400) when it is broken, breaks off, or has more than MEMBERS_MAX members.
    """
    parts: list[bytes] = []
    room = bytes_max
    try:
        for _ in range(MEMBERS_MAX):
            member = _UNPACKERS[encoding]()
            part: bytes = member.decompress(body, room + 1)
            room -= len(part)
            if room < 0:
                return None
            parts.append(part)
            if not member.eof:
                raise bad_request(f"The body ends before its {encoding} does; expected all of it.")
            body = member.unused_data
            if not body:
                return b"".join(parts)
    except (zlib.error, zstd.ZstdError) as error:
        raise bad_request(f"The body is not {encoding} ({error}); expected what header 'content-encoding' says.") from None
    raise bad_request(f"The body has more than {MEMBERS_MAX} members of {encoding}; expected one.")


def _too_large(bytes_max: int) -> ApiError:
    return too_large(
        f"The body has more than {bytes_max} bytes; send less at once, or the key in a header (setting HEADWATER_API_BODY_BYTES_MAX)."
    )


def _busy() -> ApiError:
    return ApiError(500, "InternalServerErrorException", "Too much is held at this moment; send it again.", {"connection": "close"})
