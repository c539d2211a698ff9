"""Records into columns by the compiled reader: the short way for every record that is, beyond doubt, an event that fits the shape."""

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from agents.native.library import Column, Heap, address_of, load_library, take_over
from agents.parsing.fit import MS_MAX, MS_MIN
from agents.parsing.record_shape import Kind, Place, Shape, load_shape
from schemas.records import PARSED

Mask = npt.NDArray[np.bool_]

_OBJECT = max(Kind) + 1
# The reader keeps which members of an object it has seen in the bits of a number.
_MEMBERS_MAX = 64


@dataclass(frozen=True)
class _Layout:
    """The shape as the reader takes it: nodes of (first member, count), members of (name start, size, kind, column or node)."""

    names: bytes
    nodes: npt.NDArray[np.int32]
    members: npt.NDArray[np.int32]
    places: tuple[Place, ...]


def read_columns(values: pa.Array, is_wanted: Mask, is_canonical: bool = False) -> tuple[pa.Table, Mask]:
    """The columns of PARSED that records send, in the order of `values` (pa.binary or pa.string), and which rows hold a record.

    Rows that are not wanted, and those that the reader does not take, have nulls and empty maps. `is_canonical`: the values were written
    by agents.parsing.strict, so no name stands twice.

    Raises MemoryError.
    """
    layout, row_count = _load_layout(), len(values)
    _, bounds_buffer, data = values.buffers()
    bounds = np.frombuffer(bounds_buffer, np.int32)[values.offset : values.offset + row_count + 1] if row_count else np.zeros(1, np.int32)
    arrays = [_Arrays(place, row_count) for place in layout.places]
    columns = (Column * len(arrays))(*(array.as_column() for array in arrays))
    is_read = np.zeros(row_count, np.bool_)
    wanted = np.ascontiguousarray(is_wanted)
    names = np.frombuffer(layout.names, np.uint8)
    is_done = load_library().headwater_read_records(
        *(data.address if data is not None else 0, address_of(bounds), row_count, address_of(wanted), address_of(names)),
        *(address_of(layout.nodes), address_of(layout.members), columns, len(arrays), MS_MIN, MS_MAX, is_canonical, address_of(is_read)),
    )
    found = {array.place.column: array.as_arrow(column) for array, column in zip(arrays, columns, strict=True)}
    if not is_done:
        raise MemoryError
    return pa.table(found), is_read


class _Arrays:
    """The memory of one column: what Python gives, and what comes back."""

    def __init__(self, place: Place, row_count: int) -> None:
        self.place, self._row_count = place, row_count
        self._is_valid = np.zeros((row_count + 7) // 8, np.uint8)
        self._ends = np.zeros(0 if place.kind is Kind.MILLISECONDS else row_count + 1, np.int32)
        self._times = np.zeros(row_count if place.kind is Kind.MILLISECONDS else 0, np.int64)

    def as_column(self) -> Column:
        return Column(
            self.place.kind,
            self.place.is_required,
            None if self.place.kind is Kind.MILLISECONDS else address_of(self._ends),
            address_of(self._is_valid),
            address_of(self._times),
        )

    def as_arrow(self, column: Column) -> pa.Array:
        kind, arrow = self.place.kind, PARSED.field(self.place.column).type
        is_valid = pa.py_buffer(self._is_valid)
        if kind is Kind.MILLISECONDS:
            return pa.Array.from_buffers(arrow, self._row_count, [is_valid, pa.py_buffer(self._times)])
        ends = pa.py_buffer(self._ends)
        if kind in (Kind.TEXT, Kind.DOCUMENT):
            return pa.Array.from_buffers(arrow, self._row_count, [is_valid, ends, take_over(column.bytes)])
        entry_count = int(self._ends[-1])
        names = _texts(entry_count, column.name_ends, column.bytes)
        if kind is Kind.TEXTS:
            items = _texts(entry_count, column.item_ends, column.item_bytes)
        else:
            items = pa.Array.from_buffers(pa.float64(), entry_count, [None, take_over(column.item_bytes)])
        fields = [arrow.key_field, arrow.item_field]
        entries = pa.StructArray.from_arrays([names, items], fields=fields)
        # A record without the map has an empty one.
        return pa.Array.from_buffers(arrow, self._row_count, [None, ends], children=[entries])


def _texts(count: int, ends: Heap, bytes_: Heap) -> pa.Array:
    return pa.Array.from_buffers(pa.string(), count, [None, take_over(ends), take_over(bytes_)])


@functools.cache
def _load_layout() -> _Layout:
    names = bytearray()
    nodes: list[tuple[int, int]] = []
    members: list[tuple[int, int, int, int]] = []
    places: list[Place] = []

    def lay_out(shape: Shape) -> int:
        """Add an object and what is below it; returns its node. Members of one object lie together."""
        assert len(shape) <= _MEMBERS_MAX
        node, first = len(nodes), len(members)
        nodes.append((first, len(shape)))
        members.extend([(0, 0, 0, 0)] * len(shape))
        for number, (name, place) in enumerate(shape.items()):
            start = len(names)
            names.extend(name.encode())
            if isinstance(place, Place):
                kind, target = int(place.kind), len(places)
                places.append(place)
            else:
                kind, target = _OBJECT, lay_out(place)
            members[first + number] = (start, len(name.encode()), kind, target)
        return node

    lay_out(load_shape())
    return _Layout(bytes(names), np.array(nodes, np.int32), np.array(members, np.int32), tuple(places))
