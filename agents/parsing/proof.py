"""The proof that the columns of a row hold every member of its message, each of the type wanted, and none twice.

It sets what DuckDB filled (the figures of parse.sql) against what stands in the bytes (the signature). `facets` is one column for
a whole object, so what is inside is counted in that column's text and added.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from agents.parsing.exact_json import is_counted
from agents.parsing.map_columns import has_distinct_keys, has_finite_values, has_value
from agents.parsing.signature import Signature, count_members
from schemas.records import PARSED

Mask = npt.NDArray[np.bool_]


_TEXTS = [field.name for field in PARSED if field.type == pa.string() and field.name not in {"facets", "extra", "_topic_id"}]
_CLOCKS = [field.name for field in PARSED if pa.types.is_timestamp(field.type) and field.name != "_appended_at"]


def is_proven(found: pa.Table, signature: Signature) -> Mask:
    """For each row of what parse.sql found, with the signature of its message, whether it is proven."""
    attributes, metrics = found["attributes"].combine_chunks(), found["metrics"].combine_chunks()
    texts = _count_filled(found, _TEXTS) + np.diff(attributes.offsets.to_numpy())
    numbers = _count_filled(found, _CLOCKS) + np.diff(metrics.offsets.to_numpy())
    objects = found["object_count"].to_numpy()
    inside = _count_inside(found["facets"].combine_chunks())
    proven: Mask = (
        found["is_provable"].to_numpy()
        & signature.is_countable
        & inside.is_countable
        & (texts + numbers + objects + inside.members == signature.members)
        & (numbers + inside.others == signature.others)
        & (objects + inside.objects == signature.objects)
        & has_no_guise(found)
        & has_distinct_keys(attributes)
        & has_distinct_keys(metrics)
        & has_finite_values(metrics)
    )
    return proven


def has_no_guise(found: pa.Table) -> Mask:
    """For each row whether it is excluded that a text passed for an object and an empty object for a text, evening out in the count."""
    has_hollow: Mask = found["has_hollow"].to_numpy()
    if not has_hollow.any():
        return ~has_hollow
    is_empty = has_value(found["attributes"].combine_chunks(), "{}")
    for name in _TEXTS:
        is_here = pc.equal(found[name], "{}")
        if pc.any(is_here).as_py():
            is_empty |= pc.fill_null(is_here, False).to_numpy()
    return ~(has_hollow & is_empty)


def _count_filled(found: pa.Table, names: list[str]) -> npt.NDArray[np.int64]:
    count = np.zeros(len(found), np.int64)
    for name in names:
        count += found[name].is_valid().to_numpy()
    return count


def _count_inside(facets: pa.Array) -> Signature:
    """The members inside of each row's facets; countable where the count is exact: no name twice, no number too large, not too deep."""
    members, objects, others = (np.zeros(len(facets), np.int64) for _ in range(3))
    is_object = pc.fill_null(pc.starts_with(facets, "{"), False).to_numpy(zero_copy_only=False)
    is_exact: Mask = is_object | facets.is_null().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(is_object)
    if len(rows):
        texts = facets.take(pa.array(rows)).cast(pa.binary())
        counted = count_members(texts)
        members[rows], objects[rows], others[rows] = counted.members, counted.objects, counted.others
        is_exact[rows] = [is_counted(text, count, level=1) for text, count in zip(texts.to_pylist(), counted.members.tolist(), strict=True)]
    return Signature(members, objects, others, is_countable=is_exact)
