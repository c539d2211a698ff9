"""Kinesis and Firehose: PutRecord, PutRecords and PutRecordBatch as AWS's SDKs send them to `POST /`, in JSON or CBOR.

Any bytes are taken, as AWS takes them: what is no event becomes a dead letter, and the sender is not told to try again. What Kafka does
not acknowledge fails record by record, in the way that SDKs send again.
"""

import base64
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from pipeline.api.context import Admitted, api_of, give_way, limits_of, read_sender, require_app, require_rate, send_items
from pipeline.api.errors import ApiError
from pipeline.collect.free_json import RecordReader
from pipeline.collect.outgoing import Items, Sender
from pipeline.collect.streams import Stream
from pipeline.definitions.key import Scope

FIREHOSE_RECORDS_MAX, KINESIS_RECORDS_MAX = 500, 500


@dataclass(frozen=True)
class Operation:
    """One operation by its target's name: the service that it is signed for, the member that names the stream, what it does."""

    service: str
    stream_member: str
    run: Callable[[Request, Admitted, Stream, dict[str, Any]], Any]


async def put_firehose_record(request: Request, admitted: Admitted, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
    """Firehose PutRecord."""
    stored = await _send(request, admitted, stream, "firehose", [_object(body.get("Record"), "Record")])
    if not stored[0]:
        raise ApiError(500, "InternalFailureException", "Kafka has not acknowledged the record; send it again.")
    return {"RecordId": uuid.uuid4().hex, "Encrypted": False}


async def put_firehose_batch(request: Request, admitted: Admitted, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
    """Firehose PutRecordBatch."""
    stored = await _send(request, admitted, stream, "firehose", _records(body, FIREHOSE_RECORDS_MAX))
    failed = {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Kafka has not acknowledged the record; send it again."}
    answers = [{"RecordId": uuid.uuid4().hex} if is_stored else failed for is_stored in stored]
    return {"FailedPutCount": stored.count(False), "Encrypted": False, "RequestResponses": answers}


async def put_kinesis_record(request: Request, admitted: Admitted, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
    """Kinesis PutRecord."""
    _require_partition_key(body, "PartitionKey")
    stored = await _send(request, admitted, stream, "kinesis", [body])
    if not stored[0]:
        raise ApiError(500, "InternalFailureException", "Kafka has not acknowledged the record; send it again.")
    return _kinesis_place(0)


async def put_kinesis_records(request: Request, admitted: Admitted, stream: Stream, body: dict[str, Any]) -> dict[str, Any]:
    """Kinesis PutRecords."""
    records = _records(body, KINESIS_RECORDS_MAX)
    for place, record in enumerate(records):
        _require_partition_key(record, f"Records[{place}].PartitionKey")
    stored = await _send(request, admitted, stream, "kinesis", records)
    failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "Kafka has not acknowledged the record; send it again."}
    answers = [_kinesis_place(place) if is_stored else failed for place, is_stored in enumerate(stored)]
    return {"FailedRecordCount": stored.count(False), "Records": answers}


OPERATIONS = {
    "Firehose_20150804.PutRecord": Operation("firehose", "DeliveryStreamName", put_firehose_record),
    "Firehose_20150804.PutRecordBatch": Operation("firehose", "DeliveryStreamName", put_firehose_batch),
    "Kinesis_20131202.PutRecord": Operation("kinesis", "StreamName", put_kinesis_record),
    "Kinesis_20131202.PutRecords": Operation("kinesis", "StreamName", put_kinesis_records),
}


def find_stream(request: Request, member: str, body: dict[str, Any]) -> Stream:
    """The declared stream that a body names, by name or by ARN.

    Raises ApiError.
    """
    name = body.get(member)
    arn = body.get("StreamARN")
    if name is None and isinstance(arn, str):
        name = arn.rpartition("/")[2]
    if not isinstance(name, str) or not name:
        raise ApiError(400, "ValidationException", f"Field '{member}' is {_shown(name)}; expected the name of a stream.")
    stream = api_of(request).streams.get(name)
    if stream is None:
        raise ApiError(
            400,
            "ResourceNotFoundException",
            f"Stream '{name[:128]}' is not declared; setting HEADWATER_API_STREAMS does, as '{name[:64]}=app'.",
        )
    return stream


async def send_records(
    request: Request,
    door: str,
    admitted: Admitted,
    stream: Stream,
    sender: Sender,
    records: Sequence[tuple[bytes, str | None]],
    default_time: int | None = None,
) -> list[bool]:
    """Write the records of a stream, each its data and what a resend of it repeats; for each, whether Kafka has all of it."""
    admitted.caller.require(Scope.INGEST, stream.app_id)
    await require_app(request, stream.app_id)
    limits = limits_of(request)
    reader = RecordReader(
        stream.app_id, sender, limits, stream.mapping, may_name_apps=admitted.caller.app_id is None, default_time=default_time
    )
    items = Items(limits)
    ends: list[int] = []
    for place, (data, id_base) in enumerate(records):
        items.add(reader.read(data, id_base))
        await give_way(place)
        ends.append(len(items.made))
    require_rate(request, admitted.caller, len(items.made))
    stored = await send_items(request, door, items.made)
    return [all(stored[start:end]) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


async def _send(request: Request, admitted: Admitted, stream: Stream, door: str, records: Sequence[dict[str, Any]]) -> list[bool]:
    # The signature is the server's that relays, not the device's: it tells nothing of the clock that stamped the events.
    sender = read_sender(request, None, source=f"{door}:{stream.name}")
    return await send_records(
        request, door, admitted, stream, sender, [(_data(record, place), None) for place, record in enumerate(records)]
    )


def _records(body: dict[str, Any], count_max: int) -> list[dict[str, Any]]:
    records = body.get("Records")
    if not isinstance(records, list) or not records:
        raise ApiError(400, "ValidationException", f"Field 'Records' is {_shown(records)}; expected a list of 1 to {count_max} records.")
    if len(records) > count_max:
        raise ApiError(400, "ValidationException", f"Field 'Records' has {len(records)} members; expected 1 to {count_max}.")
    return [_object(record, f"Records[{place}]") for place, record in enumerate(records)]


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ApiError(400, "SerializationException", f"Field '{name}' is {_shown(value)}; expected an object with Data.")
    return value


def _data(record: dict[str, Any], place: int) -> bytes:
    data = record.get("Data")
    found = data if isinstance(data, bytes) else decode_base64(data)
    if found is None:
        raise ApiError(400, "SerializationException", f"Field 'Data' of record {place} is {_shown(data)}; expected base64.")
    return found


def decode_base64(value: Any) -> bytes | None:
    """The bytes of a text that is base64; None for anything else."""
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError:
        return None


def _require_partition_key(record: dict[str, Any], name: str) -> None:
    key = record.get("PartitionKey")
    if not isinstance(key, str) or not 1 <= len(key) <= 256:
        raise ApiError(400, "ValidationException", f"Field '{name}' is {_shown(key)}; expected a text of 1 to 256 characters.")


def _kinesis_place(place: int) -> dict[str, Any]:
    return {"ShardId": "shardId-000000000000", "SequenceNumber": str(uuid.uuid4().int + place)}


def _shown(value: Any) -> str:
    """A value as an error shows it; of what holds others only what it is."""
    if value is None:
        return "missing"
    if isinstance(value, (list, dict, tuple, set)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return repr(value[:80] if isinstance(value, (str, bytes)) else value)[:80]
