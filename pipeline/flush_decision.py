"""What a worker decides around a flush and a take-over, without its threads, Kafka and time: the runner asks, and so does the model of row 29."""

from collections.abc import Mapping, Sequence

from agents.batch import Batch
from agents.buffer import Buffer
from agents.land import Range
from pipeline.topic_ids import TopicState


def is_void(batches: Sequence[Batch], generation: int) -> bool:
    """Positions were set anew since these were taken: they will be read again, and may be of another topic."""
    return batches[0].generation != generation


def is_another_topic(found: TopicState | None, taken_over: TopicState) -> bool:
    """The name stands for another topic than the one that was taken over, or for none: what is fetched by name is of that one."""
    return found is None or found.topic_id != taken_over.topic_id


def must_set_anew(fenced: Sequence[Range]) -> bool:
    """Positions must be set anew after a flush of which this was lost to another worker: nothing of it lands before."""
    return bool(fenced)


def give_up(buffer: Buffer, batches: Sequence[Batch], generation: int) -> None:
    """A flush is given up for a take-over that waits: another may come before it, and what follows would not be what the lake wants next."""
    if not is_void(batches, generation):
        buffer.reset({}, generation)


def expect(buffer: Buffer, topic: str, starts: Mapping[int, int], generation: int) -> None:
    """A take-over is done: these offsets come next, by partition."""
    buffer.reset({(topic, partition): offset for partition, offset in starts.items()}, generation)
