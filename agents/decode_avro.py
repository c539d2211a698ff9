"""The step `avro`: records whose value is Avro go on as the JSON stream record that it says; all others are left alone.

A value is Avro when it begins as no JSON text does: with C3 01 (single-object encoding) or with 00 (a schema registry's framing). Its hash and
size stay those of the bytes received, and so do the bytes that a dead letter keeps.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.avro.datums import Pool, write_documents
from agents.avro.schemas import OBJECT_HEAD, OBJECT_MARK, REGISTRY_HEAD, AvroSchemas
from agents.parsing.exact_json import Unreadable
from agents.parsing.verdict import Verdict
from agents.validate import ValidateRules
from schemas.records import Reason

Rows = npt.NDArray[np.int64]
_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Decoded:
    """`records` (RECORDS) in the order given; `verdicts` on those of `rows`, the ones that began like Avro, that could not be decoded."""

    records: pa.Table
    rows: Rows
    verdicts: Sequence[Verdict] = ()


def decode_records(records: pa.Table, schemas: AvroSchemas, rules: ValidateRules) -> Decoded:
    """Put JSON in the place of Avro values. What is too large is left alone, as `validate` will refuse it.

    Raises UnavailableError when a schema is wanted of the registry and it does not answer: nothing is decided then.
    """
    column = records["value"]
    # To combine one chunk would copy it.
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    rows = find_avro(values, records["value_bytes"].to_numpy() <= rules.message_bytes_max)
    if not len(rows):
        return Decoded(records, _NO_ROWS)
    found = decode_values(values.take(pa.array(rows)), schemas, rules.message_bytes_max)
    is_avro = np.zeros(len(values), np.bool_)
    is_avro[rows] = True
    verdicts = [
        Verdict(row, one.reason, one.error if rules.keeps_unreadable else one.bare_error, is_readable=False, keeps_large=True)
        for row, one in zip(rows.tolist(), found, strict=True)
        if isinstance(one, Unreadable)
    ]
    received = values.take(pa.array(rows)).to_pylist() if verdicts else []
    texts = [received[place] if isinstance(one, Unreadable) else one for place, one in enumerate(found)]
    values = pc.replace_with_mask(values, pa.array(is_avro), pa.array(texts, pa.binary()))
    place = records.column_names.index("value")
    return Decoded(records.set_column(place, records.schema.field("value"), values), rows, verdicts)


def restore_received(dead: pa.Table, records: pa.Table, rows: Rows) -> pa.Table:
    """Dead letters (DEAD) of `records` with the bytes received in place of the JSON of these rows; values that are not kept stay null."""
    if not len(rows) or not dead.num_rows:
        return dead
    received = records.take(pa.array(rows))
    places = (received["_partition"].to_pylist(), received["_offset"].to_pylist())
    by_place = dict(zip(zip(*places, strict=True), range(len(rows)), strict=True))
    found = [by_place.get(place) for place in zip(dead["_partition"].to_pylist(), dead["_offset"].to_pylist(), strict=True)]
    is_avro = pc.and_(pa.array([place is not None for place in found]), pc.is_valid(dead["value"].combine_chunks()))
    values = received["value"].combine_chunks().take(pa.array([place or 0 for place in found], pa.int64()))
    column = pc.if_else(is_avro, values, dead["value"].combine_chunks())
    return dead.set_column(dead.column_names.index("value"), dead.schema.field("value"), column)


def find_avro(values: pa.Array, is_wanted: npt.NDArray[np.bool_]) -> Rows:
    """Rows of the values (pa.binary) that begin like Avro. Looks at one byte of each value, and at a second one of few."""
    _, bounds_buffer, data_buffer = values.buffers()
    if data_buffer is None or not data_buffer.size:
        return _NO_ROWS
    bounds = np.frombuffer(bounds_buffer, np.int32)[values.offset : values.offset + len(values) + 1]
    data, starts, sizes = np.frombuffer(data_buffer, np.uint8), bounds[:-1], np.diff(bounds)
    first = data[np.minimum(starts, len(data) - 1)]
    is_likely = ((first == 0) | (first == OBJECT_MARK[0])) & (sizes > 0) & is_wanted
    if not is_likely.any():
        return _NO_ROWS
    second = data[np.minimum(starts + 1, len(data) - 1)]
    return np.flatnonzero(is_likely & ((first == 0) | ((second == OBJECT_MARK[1]) & (sizes > 1))))


def decode_values(values: pa.Array, schemas: AvroSchemas, bytes_max: int) -> list[bytes | Unreadable]:
    """Each value (pa.binary, all of which begin like Avro) as JSON text, or why it cannot be.

    Raises UnavailableError.
    """
    found: list[bytes | Unreadable] = [b""] * len(values)
    places_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for place, value in enumerate(values.to_pylist()):
        head_bytes = OBJECT_HEAD if value.startswith(OBJECT_MARK) else REGISTRY_HEAD
        if len(value) < head_bytes:
            found[place] = Unreadable(
                Reason.NOT_AVRO, f"The value begins like Avro and ends after {len(value)} bytes", f"{head_bytes} bytes that name its schema"
            )
        else:
            places_of[value[:head_bytes]].append(place)
    schemas.begin()
    pool = Pool()
    # What most values need first: what may be asked of a registry in one flush is bounded.
    for head, places in sorted(places_of.items(), key=lambda one: -len(one[1])):
        try:
            schema = schemas.find(head)
        except Unreadable as error:
            documents: list[bytes | Unreadable] = [error] * len(places)
        else:
            documents = write_documents(values.take(pa.array(places)), len(head), schema, bytes_max, pool)
        for place, document in zip(places, documents, strict=True):
            found[place] = document
    return found
