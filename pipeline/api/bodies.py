"""Bodies of requests: read within bounds of size, time and memory, unpacked without falling for a bomb."""

import asyncio
import io

from starlette.requests import ClientDisconnect, Request

from pipeline.api.errors import ApiError, bad_request, too_large
from pipeline.imports.rows import BrokenFileError
from pipeline.imports.unpack import unpack


class Bodies:
    """Reads bodies; together they never hold more than `held_bytes_max`.

    A request for which there is no room is answered at once with 500, which every SDK tries again.
    """

    def __init__(self, bytes_max: int, held_bytes_max: int, read_secs_max: float) -> None:
        self._bytes_max, self._held_bytes_max, self._read_secs_max = bytes_max, held_bytes_max, read_secs_max
        self.bytes_held = 0

    async def read(self, request: Request) -> bytes:
        """The body as it came over the wire.

        Raises ApiError: 413 over the bound, 408 when it takes too long, 500 when too much is held already.
        """
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._bytes_max:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_secs_max):
                async for chunk in request.stream():
                    size += len(chunk)
                    self.bytes_held += len(chunk)
                    if size > self._bytes_max:
                        raise self._too_large()
                    if self.bytes_held > self._held_bytes_max:
                        raise ApiError(
                            500, "InternalServerErrorException", "Too much is held at this moment; send it again.", {"connection": "close"}
                        )
                    chunks.append(chunk)
        except TimeoutError:
            message = f"The body had not come after {self._read_secs_max:g} s; send it again."
            raise ApiError(408, "RequestTimeoutException", message, {"connection": "close"}) from None
        except ClientDisconnect:
            raise ApiError(400, "BadRequestException", "The client went away before its body had come.") from None
        finally:
            self.bytes_held -= size
        return b"".join(chunks)

    def unpack(self, body: bytes, encoding: str) -> bytes:
        """The body without its content encoding: gzip, zstd or identity.

        Raises ApiError: 415 for another encoding, 400 for a broken one, 413 when what is packed is over the bound.
        """
        if encoding in {"", "identity", "aws-chunked"}:
            return body
        if encoding not in {"gzip", "zstd"}:
            message = f"Header 'content-encoding' is '{encoding[:40]}'; expected gzip, zstd or identity."
            raise ApiError(415, "UnsupportedMediaTypeException", message)
        parts, size = [], 0
        try:
            for part in unpack(io.BytesIO(body), "body", encoding):
                size += len(part)
                if size > self._bytes_max:
                    raise self._too_large()
                parts.append(part)
        except BrokenFileError:
            raise bad_request(f"The body is not whole, or not {encoding}, as header 'content-encoding' says; expected all of it.") from None
        return b"".join(parts)

    def _too_large(self) -> ApiError:
        return too_large(f"The body has more than {self._bytes_max} bytes; send less at once (setting HEADWATER_API_BODY_BYTES_MAX).")
