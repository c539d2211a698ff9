"""A row of any file into the record that goes to raw-events: its key, its value, and an id that never changes."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from pipeline.imports.fields import Record, put
from pipeline.imports.heads import Head, seal
from pipeline.imports.mapping import Mapping
from pipeline.imports.rows import Row, RowError
from pipeline.imports.shapes import Shape, unmapped_names
from pipeline.producer import record_key


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is sent for one row."""

    key: bytes
    value: bytes
    event_timestamp: int


class RecordBuilder:
    """Makes the records of one file.

    A row's own event_id stays. A row without one gets `<id_base>/<row number>`, from the file's content and its place in it, never
    from its values: two equal rows stay two events, and every later run gives the same ids.
    `unmapped` counts, by name, what did not map to any field; it lands in `extra`.
    """

    def __init__(self, id_base: str, file_name: str, app_id: str | None, mapping: Mapping | None, shape: Shape | None) -> None:
        self._id_base, self._app_id, self._mapping, self._shape = id_base, app_id, mapping, shape
        self._source = f"import:{file_name}"
        self._source_json = msgspec.json.encode(self._source)
        self._unmapped_by_names: dict[tuple[str, ...], list[str]] = {}
        self.unmapped: Counter[str] = Counter()

    def build(self, row: Row) -> Sealed:
        """Raises RowError when the row cannot become a stream record."""
        if isinstance(row.values, RowError):
            raise row.values
        event_id = f"{self._id_base}/{row.number}"
        if isinstance(row.values, Head):
            return self._seal_json(row.content, row.values, event_id)
        return self._seal_columns(row.values, event_id)

    def _seal_json(self, content: bytes, head: Head, event_id: str) -> Sealed:
        if head.problem is not None:
            raise head.problem
        app_id = head.app_id or self._app_id
        if not app_id or head.event_timestamp is None:
            raise RowError("app_id", None, "expected application.app_id as text; --app APP gives one to rows that have none")
        self.unmapped.update(head.unknown)
        event_id = head.event_id or event_id
        value = seal(content, head, event_id, self._app_id, self._source_json)
        return Sealed(record_key(app_id, head.endpoint_id, event_id), value, head.event_timestamp)

    def _seal_columns(self, columns: dict[str, Any], event_id: str) -> Sealed:
        record: Record
        unmapped = self._find_unmapped(columns)
        if self._mapping is not None:
            record = self._mapping.build_record(columns, self._app_id, unmapped)
        else:
            assert self._shape is not None, "a file of columns has a mapping or a shape"
            record = self._shape(columns, self._app_id)
        if not record.get("event_id"):
            record["event_id"] = event_id
        put(record, "source", self._source)
        client = record.get("client")
        endpoint_id = client.get("client_id") if isinstance(client, dict) else None
        try:
            value = msgspec.json.encode(record)
        except (OverflowError, TypeError, ValueError) as error:
            raise RowError(
                None, record, f"expected values that JSON can hold: {error}", kind="expected values that JSON can hold"
            ) from None
        self.unmapped.update(unmapped)
        return Sealed(record_key(record["application"]["app_id"], endpoint_id, record["event_id"]), value, record["event_timestamp"])

    def _find_unmapped(self, columns: dict[str, Any]) -> list[str]:
        """Names of this row that do not map; rows of one file share their names, so each set of names is judged once."""
        names = tuple(columns)
        found = self._unmapped_by_names.get(names)
        if found is None:
            if len(self._unmapped_by_names) >= 1000:
                self._unmapped_by_names.clear()
            found = self._mapping.unmapped_columns(names) if self._mapping else unmapped_names(self._shape, names)
            self._unmapped_by_names[names] = found
        return found
