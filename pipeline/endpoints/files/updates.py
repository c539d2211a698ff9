"""A row of a file of endpoints into the update that goes to endpoint-updates, or into the reason why it is none."""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.parsing.endpoint_shape import EndpointError, read_endpoint
from agents.parsing.exact_json import DEPTH_MAX, Unreadable, parse_counted
from agents.parsing.fit import Unfit
from agents.parsing.update_shape import read_update
from pipeline.collect.endpoints import update_from_file
from pipeline.collect.outgoing import Sender
from pipeline.endpoints.files.quick_check import is_surely_sound
from pipeline.endpoints.files.seen_ids import SeenIds
from pipeline.imports.rows import Row, RowError

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class _Sound:
    """The update that a row stands for: the endpoint's id, and the record as it goes on the wire."""

    endpoint_id: str
    record: tuple[bytes, bytes]


class UpdateBuilder:
    """Makes the updates of one file, batch by batch.

    An update's id is `<id_base>/<row number>`, from the file's content and the row's place in it: every later run of the same file gives
    the same ids, so what is sent twice within the dedup window lands once. A row without Id gets one made of the file's content and its place.
    """

    def __init__(self, app_id: str, content_hash: str, id_base: str, sender: Sender, bytes_max: int) -> None:
        self._app_id, self._content_hash, self._id_base, self._sender = app_id, content_hash, id_base, sender
        self._bytes_max = bytes_max
        self._seen = SeenIds()

    def build(self, rows: Sequence[Row]) -> Iterator[tuple[Row, tuple[bytes, bytes] | RowError]]:
        """For each row key and value of its record, or why there is none. A row whose id an earlier row had is rejected."""
        judged = [(row, self._judge(row)) for row in rows]
        sound = [(row, found) for row, found in judged if isinstance(found, _Sound)]
        earlier = iter(self._seen.mark([found.endpoint_id for _, found in sound], [row.line or row.number for row, _ in sound]))
        for row, found in judged:
            if isinstance(found, RowError):
                yield row, found
            elif line := next(earlier):
                yield (
                    row,
                    RowError(
                        "Id",
                        found.endpoint_id,
                        f"expected each id once in a file; line {line} has it, and is the one that counts",
                        kind="expected each id once in a file",
                    ),
                )
            else:
                yield row, found.record

    def _judge(self, row: Row) -> _Sound | RowError:
        document: Any = row.values
        if not isinstance(document, dict):
            return (
                document if isinstance(document, RowError) else RowError(None, row.content, "expected a JSON object, which begins with {")
            )
        # NDJSON travels byte for byte as it came; what stood in cells becomes JSON here.
        content = row.content or _encode(document)
        try:
            if not is_surely_sound(content):
                read_endpoint(document)
            endpoint_id = self._endpoint_id(document, row.number)
        except EndpointError as error:
            return RowError(error.field, error.value, f"expected {error.expected}")
        outgoing = update_from_file(self._app_id, endpoint_id, content, f"{self._id_base}/{row.number}", self._sender)
        return self._find_problem(outgoing.value, content) or _Sound(endpoint_id, (outgoing.key, outgoing.value))

    def _find_problem(self, record: bytes, content: bytes) -> RowError | None:
        """What a worker would refuse of the record, which holds more than the endpoint: its size, and how deep it is nested."""
        if len(record) > self._bytes_max:
            return RowError(
                None,
                content,
                f"expected a record of at most {self._bytes_max} bytes (setting HEADWATER_MESSAGE_BYTES_MAX), found {len(record)}",
                kind=f"expected a record of at most {self._bytes_max} bytes",
            )
        if record.count(b"{") + record.count(b"[") <= DEPTH_MAX:
            return None
        try:
            read_update(parse_counted(record))
        except (Unreadable, Unfit) as error:
            return RowError(None, content, str(error), kind=f"expected a record that workers take ({error.reason})")
        return None

    def _endpoint_id(self, document: dict[str, Any], number: int) -> str:
        found = document.get("Id")
        if type(found) is str and found:
            return found
        if found is not None and found != "":
            raise EndpointError("Id", found, "a text that is not empty")
        for name in ("Id", "Address", "ChannelType"):
            if name not in document and (misspelt := next((each for each in document if each.lower() == name.lower()), None)):
                raise EndpointError(misspelt, document[misspelt], f"the member's own spelling, {name}")
        for name in ("Address", "ChannelType"):
            if not document.get(name):
                raise EndpointError(
                    name, document.get(name), "Id, or Address and ChannelType: without either nobody knows which endpoint it is"
                )
        return str(uuid.UUID(bytes=hashlib.md5(f"{self._content_hash}/{number}".encode(), usedforsecurity=False).digest()))
