"""The buffer between consuming and landing: whatever is offered, what is taken is contiguous, and bytes are counted to the end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.batch import Batch, build_chunk
from agents.buffer import Buffer, Offer

TOPIC = "raw-events"


def batch(start: int, end: int, generation: int = 1, partition: int = 0, value_bytes: int = 10) -> Batch:
    return Batch(TOPIC, partition, generation, start, end, [build_chunk(start, end, [b"x" * value_bytes], [None], [start], [0])])


def buffer_from(offset: int, generation: int = 1) -> Buffer:
    buffer = Buffer()
    buffer.reset({(TOPIC, 0): offset}, generation)
    return buffer


def test_the_batch_expected_next_is_taken_and_moves_what_is_expected() -> None:
    buffer = buffer_from(5)
    assert [buffer.offer(batch(5, 9)), buffer.offer(batch(9, 10))] == [Offer.TAKEN, Offer.TAKEN]
    assert [(one.start, one.end) for one in buffer.take(1000)] == [(5, 9), (9, 10)]


def test_a_batch_after_skipped_records_is_refused_and_said_to_be_ahead() -> None:
    buffer = buffer_from(5)
    assert buffer.offer(batch(6, 9)) is Offer.AHEAD
    assert buffer.is_empty


def test_a_batch_of_an_earlier_generation_of_other_partitions_or_taken_already_is_stale() -> None:
    buffer = buffer_from(5, generation=2)
    stale = [batch(5, 9, generation=1), batch(5, 9, generation=2, partition=1), batch(4, 9, generation=2)]
    assert [buffer.offer(one) for one in stale] == [Offer.STALE] * 3
    assert buffer.is_empty


def test_a_reset_drops_what_waits_and_what_was_taken_counts_until_it_is_released() -> None:
    buffer = buffer_from(0)
    buffer.offer(batch(0, 1))
    taken = buffer.take(1000)
    buffer.offer(batch(1, 2))
    buffer.reset({(TOPIC, 0): 0}, 2)
    assert (buffer.bytes_waiting, buffer.bytes_held) == (0, 10)
    buffer.release(taken)
    assert buffer.bytes_held == 0


def test_one_batch_is_taken_even_when_it_is_larger_than_asked_for_and_no_second() -> None:
    buffer = buffer_from(0)
    for start in range(3):
        buffer.offer(batch(start, start + 1, value_bytes=100))
    assert [len(buffer.take(size)) for size in (1, 199, 100, 100)] == [1, 1, 1, 0]


def test_a_batch_larger_than_asked_for_is_taken_chunk_by_chunk_with_its_holes() -> None:
    chunks = [build_chunk(start, start + 2, [b"x" * 100], [None], [start], [0]) for start in (0, 2, 4)]
    for size, expected in ((99, [(0, 2), (2, 4), (4, 7)]), (200, [(0, 4), (4, 7)]), (299, [(0, 4), (4, 7)]), (300, [(0, 7)])):
        buffer, found = buffer_from(0), []
        buffer.offer(Batch(TOPIC, 0, 1, 0, 7, chunks))
        while taken := buffer.take(size):
            found += [(one.start, one.end) for one in taken]
            assert sum(one.record_count for one in taken) == sum(one.held_bytes for one in taken) // 100
        assert found == expected
        assert buffer.bytes_held == 300


offers = st.tuples(
    st.just("offer"), st.integers(0, 2), st.integers(0, 3), st.integers(-2, 2), st.integers(1, 3), st.integers(0, 50)
)  # partition, generation behind, start off, length, bytes
takes = st.tuples(st.just("take"), st.integers(1, 120))
resets = st.tuples(st.just("reset"), st.dictionaries(st.integers(0, 2), st.integers(0, 20)))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(offers, offers, offers, takes, resets, st.just(("release",))), max_size=60))
def test_what_is_taken_is_contiguous_from_where_each_partition_was_set(steps: list[tuple[object, ...]]) -> None:
    buffer, generation = Buffer(), 0
    wanted: dict[int, int] = {}  # next offset that must be taken, by partition
    expected: dict[int, int] = {}  # next offset that must be offered
    held: list[Batch] = []
    for step in steps:
        match step:
            case ("offer", int(partition), int(behind), int(off), int(length), int(size)):
                start = expected.get(partition, 0) + off
                answer = buffer.offer(batch(start, start + length, generation - behind, partition, size))
                is_current = behind == 0 and partition in expected
                assert answer is (Offer.STALE if not is_current or off < 0 else Offer.AHEAD if off > 0 else Offer.TAKEN), (step, expected)
                if answer is Offer.TAKEN:
                    expected[partition] = start + length
            case ("take", int(size)):
                taken = buffer.take(size)
                for one in taken:
                    assert (one.generation, one.start) == (generation, wanted[one.partition])
                    wanted[one.partition] = one.end
                held += taken
            case ("reset", dict(offsets)):
                generation += 1
                buffer.reset({(TOPIC, partition): offset for partition, offset in offsets.items()}, generation)
                wanted, expected = dict(offsets), dict(offsets)
            case ("release",):
                buffer.release(held)
                held = []
        assert buffer.bytes_held - buffer.bytes_waiting == sum(one.held_bytes for one in held)
    rest = buffer.take(10**9)
    assert all(one.generation == generation for one in rest)
    assert buffer.is_empty
    assert buffer.bytes_waiting == 0
