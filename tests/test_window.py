"""The dedup window answers as a plain dictionary would, whatever was merged, spilled or let go."""

import logging
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.dedup.event_keys import I64, U64, hash_events
from agents.dedup.key_run import NEVER
from agents.dedup.window import KeyWindow, MemoryBudget, NewKeys, fill_window

AMPLE, TIGHT = 1 << 30, 400_000
SECOND = 1_000_000


def new_keys(ids: npt.ArrayLike, rests: npt.ArrayLike, times: npt.ArrayLike, offset_next: int = 1) -> NewKeys:
    found = np.array(times, np.int64)
    return NewKeys(np.array(ids, np.uint64), np.array(rests, np.uint64), found, int(found.max()), offset_next)


def find(window: KeyWindow, ids: U64, rests: U64) -> tuple[list[int], list[bool]]:
    """Look up in any order."""
    order = np.argsort(ids, kind="stable")
    found = window.find(ids[order], rests[order])
    times, has_other = np.empty_like(found.times), np.empty_like(found.has_other)
    times[order], has_other[order] = found.times, found.has_other
    return times.tolist(), has_other.tolist()


def random_batches(seed: int, batch_count: int, key_count: int) -> list[NewKeys]:
    """Distinct keys, append times rising by a second a batch."""
    rng = np.random.default_rng(seed)
    return [
        new_keys(
            rng.integers(0, 1 << 64, key_count, np.uint64),
            rng.integers(0, 1 << 64, key_count, np.uint64),
            np.full(key_count, number * SECOND),
            number,
        )
        for number in range(1, batch_count + 1)
    ]


def test_window_knows_what_was_added_and_nothing_else(tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    window.add(new_keys([5, 3], [50, 30], [2 * SECOND, SECOND], offset_next=7))
    asked = np.array([3, 3, 4, 5], np.uint64), np.array([30, 31, 30, 50], np.uint64)
    assert find(window, *asked) == ([SECOND, NEVER, NEVER, 2 * SECOND], [False, True, False, False])
    assert (window.key_count, window.offset_covered, window.latest_at, window.covered_secs) == (2, 7, 2 * SECOND, 1.0)


def test_new_window_knows_nothing(tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    assert find(window, np.array([0, 1 << 63], np.uint64), np.array([0, 0], np.uint64)) == ([NEVER, NEVER], [False, False])
    assert (window.key_count, window.offset_covered, window.oldest_at, window.covered_secs) == (0, None, None, 0.0)


def test_keys_added_twice_count_once_after_a_merge_with_their_later_time(tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    for at in range(8):
        window.add(new_keys([1], [1], [at * SECOND]))
    assert window.key_count == 1
    assert find(window, np.array([1], np.uint64), np.array([1], np.uint64)) == ([7 * SECOND], [False])


def test_one_id_with_half_a_million_keys_is_merged_spilled_and_searched_like_any(tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(TIGHT))
    rests = np.random.default_rng(3).permutation(500_000).astype(np.uint64) * np.uint64(2)
    for number, part in enumerate(np.array_split(rests, 10)):
        window.add(new_keys(np.full(len(part), 9), part, np.full(len(part), number)))
    times, has_other = find(window, np.full(1000, 9, np.uint64), rests[:1000])
    assert times == [0] * 1000
    assert all(has_other)
    assert find(window, np.full(1000, 9, np.uint64), rests[:1000] + np.uint64(1))[0] == [NEVER] * 1000


@pytest.mark.parametrize("is_one_id", [False, True])
def test_merge_of_runs_on_disk_takes_a_few_megabytes_whatever_their_size(tmp_path: Path, is_one_id: bool) -> None:
    rng = np.random.default_rng(8)
    window = KeyWindow(tmp_path, MemoryBudget(TIGHT))
    batches = [
        new_keys([9] * 100_000 if is_one_id else rng.integers(0, 1 << 64, 100_000, np.uint64), np.arange(at, 800_000, 8), [at] * 100_000)
        for at in range(8)
    ]
    for batch in batches[:7]:
        window.add(batch)
    tracemalloc.start()
    window.add(batches[7])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert window.disk_bytes == 800_000 * 24
    assert peak < 15_000_000
    assert find(window, batches[3].ids, batches[3].rests)[0] == batches[3].times.tolist()


def test_spilled_window_answers_the_same_within_its_budget_and_reaches_as_far_back(tmp_path: Path) -> None:
    ample, tight = KeyWindow(tmp_path, MemoryBudget(AMPLE)), KeyWindow(tmp_path, MemoryBudget(TIGHT))
    batches = random_batches(1, 60, 5_000)
    for batch in batches:
        ample.add(batch)
        tight.add(batch)
        assert tight.memory_bytes <= TIGHT
    assert ample.memory_bytes > 10 * TIGHT
    assert (ample.disk_bytes, tight.disk_bytes > 6_000_000) == (0, True)
    assert tight.key_count == ample.key_count == 300_000
    assert tight.oldest_at == ample.oldest_at == SECOND
    unknown = random_batches(2, 1, 5_000)[0]
    for batch in (batches[0], batches[31], batches[-1], unknown):
        assert find(tight, batch.ids, batch.rests) == find(ample, batch.ids, batch.rests)
    assert find(tight, batches[0].ids, batches[0].rests)[0] == [SECOND] * 5_000


def test_windows_of_one_worker_stay_within_one_budget_together(tmp_path: Path) -> None:
    budget = MemoryBudget(TIGHT)
    windows = [KeyWindow(tmp_path, budget) for _ in range(4)]
    batches = random_batches(4, 80, 1_000)
    for number, batch in enumerate(batches):
        windows[number % 4].add(batch)
    for window in windows:
        window.expire(1e6)
    assert sum(window.memory_bytes for window in windows) <= TIGHT
    for number, batch in enumerate(batches):
        assert find(windows[number % 4], batch.ids, batch.rests)[0] == batch.times.tolist()


def test_closed_window_gives_its_share_to_the_others(tmp_path: Path) -> None:
    budget = MemoryBudget(TIGHT)
    first, second = KeyWindow(tmp_path, budget), KeyWindow(tmp_path, budget)
    first.add(random_batches(5, 1, 10_000)[0])
    before = budget.share(second)
    first.close()
    assert (first.key_count, first.disk_bytes) == (0, 0)
    assert budget.share(second) == TIGHT > before


def test_expired_keys_leave_and_their_memory_with_them(tmp_path: Path) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    batches = random_batches(6, 100, 2_000)
    for batch in batches:
        window.add(batch)
        window.expire(10)
        assert window.oldest_at == max(batch.latest_at - 10 * SECOND, SECOND)
        # Keys leave by merges, at most as many again are still waiting for theirs.
        assert window.key_count <= 2 * 11 * 2_000
    kept = [find(window, batch.ids, batch.rests)[0] == batch.times.tolist() for batch in batches[-11:]]
    assert kept == [True] * 11
    assert find(window, batches[0].ids, batches[0].rests)[0] == [NEVER] * 2_000


def test_window_that_is_never_told_to_expire_keeps_everything(tmp_path: Path) -> None:
    """The control of the test above."""
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    for batch in random_batches(6, 100, 2_000):
        window.add(batch)
    assert window.key_count == 200_000


def test_spilled_keys_have_no_file_to_leave_behind_even_after_a_kill(tmp_path: Path) -> None:
    program = f"""
import os, signal, numpy as np
from pathlib import Path
from agents.dedup.window import KeyWindow, MemoryBudget, NewKeys
window = KeyWindow(Path({str(tmp_path)!r}), MemoryBudget(10_000))
ids = np.arange(50_000, dtype=np.uint64)
window.add(NewKeys(ids, ids, ids.astype(np.int64), 1, 1))
print(window.disk_bytes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent)
    assert (done.returncode, int(done.stdout) > 1_000_000) == (-9, True), done.stderr
    assert list(tmp_path.iterdir()) == []


@contextmanager
def full_disk() -> Iterator[None]:
    """Writes to files fail in this process, as they do when no room is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_costs_memory_not_keys_and_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    window = KeyWindow(tmp_path, MemoryBudget(TIGHT))
    batches = random_batches(7, 24, 5_000)
    with full_disk(), caplog.at_level(logging.WARNING):
        for batch in batches:
            window.add(batch)
        assert isinstance(window.spill_error, OSError)
        assert window.memory_bytes > TIGHT
        assert [find(window, batch.ids, batch.rests)[0] for batch in batches] == [batch.times.tolist() for batch in batches]
    assert len(caplog.messages) == 1
    assert "Dedup keys cannot be written to" in caplog.messages[0]
    window.expire(1e6)
    assert window.spill_error is None
    assert window.memory_bytes <= TIGHT
    assert [find(window, batch.ids, batch.rests)[0] for batch in batches] == [batch.times.tolist() for batch in batches]


def test_window_filled_from_rows_of_the_lake_knows_what_the_stream_added(tmp_path: Path) -> None:
    at = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "event_id": [f"e{number}" for number in range(1000)],
            "app_id": ["shop"] * 1000,
            "endpoint_id": ["p1", None] * 500,
            "event_type": ["screen"] * 1000,
            "event_timestamp": pa.array(range(1000), at),
            "_appended_at": pa.array(range(1000, 2000), at),
        }
    )
    window = KeyWindow(tmp_path, MemoryBudget(AMPLE))
    with duckdb.connect() as con:
        fill_window(con, window, [*table.slice(0, 600).to_batches(), table.slice(500)])
        keys = hash_events(con, table)
    assert find(window, keys.ids, keys.rests) == (list(range(1000, 2000)), [False] * 1000)
    assert (window.latest_at, window.offset_covered, window.covered_secs) == (NEVER, None, 999 / SECOND)


# Few ids and rests, so that keys meet; in ids the first bits differ too, which the bitmap looks at.
pairs = st.tuples(st.sampled_from([0, 1, 2, 1 << 20, 1 << 60, 3 << 60, (1 << 64) - 1]), st.integers(0, 4))
adds = st.lists(st.tuples(pairs, st.integers(0, 30)), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(adds, st.integers(0, 40)), max_size=60), st.sampled_from([0, 1_500, AMPLE]))
def test_window_answers_as_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[list[tuple[tuple[int, int], int]] | int], bytes_max: int
) -> None:
    """A step adds keys with their times, or expires what is older than so many seconds."""
    window = KeyWindow(tmp_path_factory.getbasetemp() / "window", MemoryBudget(bytes_max))
    model: dict[tuple[int, int], int] = {}
    latest, oldest_kept = NEVER, NEVER
    asked = [(id_, rest) for id_ in (0, 1, 2, 1 << 20, 1 << 60, 2 << 60, 3 << 60, (1 << 64) - 1) for rest in range(6)]
    ids, rests = (np.array(column, np.uint64) for column in zip(*asked, strict=True))
    for step in steps:
        if isinstance(step, int):
            window.expire(step)
            oldest_kept = max(oldest_kept, latest - step * SECOND)
        else:
            window.add(new_keys([pair[0] for pair, _ in step], [pair[1] for pair, _ in step], [at * SECOND for _, at in step]))
            for pair, at in step:
                latest, model[pair] = max(latest, at * SECOND), max(model.get(pair, NEVER), at * SECOND)
        times, has_other = find(window, ids, rests)
        in_window: I64 = np.array([at if at >= oldest_kept else NEVER for at in times])
        assert in_window.tolist() == [model.get(pair, NEVER) if model.get(pair, NEVER) >= oldest_kept else NEVER for pair in asked]
        if oldest_kept == NEVER:
            assert has_other == [any(other[0] == pair[0] and other != pair for other in model) for pair in asked]
    window.close()
