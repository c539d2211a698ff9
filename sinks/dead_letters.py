"""The lake table `dead_letters`: what of a partition it holds already."""

import pyarrow.dataset as ds

from sinks.lake import LakeTable


class DeadLetters(LakeTable):
    """`dead_letters`, with the one question that landing asks of it."""

    def held_offsets(self, topic_id: str, partition: int, start: int) -> frozenset[int]:
        """Offsets from `start` on of which the table holds a row, as of the last refresh."""
        is_wanted = (ds.field("_topic_id") == topic_id) & (ds.field("_partition") == partition) & (ds.field("_offset") >= start)
        return frozenset(self.dataset().to_table(columns=["_offset"], filter=is_wanted)["_offset"].to_pylist())
