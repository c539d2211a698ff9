"""Rows lie in the folder of the day on which Kafka took them. Without this guard in that of the day that the sender says, as tables partitioned by event time have it."""

from unittest import mock

import pyarrow as pa

import pipeline.worker
from sinks.lake import LakeTable, Upload


class EventDateTable(LakeTable):
    """Puts rows of events into folders by their own time."""

    def upload(self, rows: pa.Table) -> list[Upload]:
        if self.name == "events":
            place = rows.column_names.index("arrival_date")
            dates = rows["event_timestamp"].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
            rows = rows.set_column(place, rows.schema.field("arrival_date"), dates)
        return super().upload(rows)


def remove() -> None:
    mock.patch.object(pipeline.worker, "LakeTable", EventDateTable).start()
