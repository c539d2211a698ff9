"""Fills a topic as fast as Kafka takes it: a pool of the plan's own messages, sent round after round, each round with other ids and times.

Making a message costs 20 us, more than the pipeline that is measured with it. So the first messages of a plan are made
once, and from then on only what differs is written over in place, by NumPy: times move a whole number of weeks into the past
with each round, and the ids of what happened (events, sessions, messages, purchases, runs) are mixed with a number of that
round. Who it happened to stays: people, devices and so the records' keys come back, as people do.
"""

import dataclasses
import functools
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from pipeline.producer import Producer
from pipeline.simulate.encoding import Encode, keep_json
from pipeline.simulate.plan import DAY, Plan, seeded
from pipeline.simulate.records import Message
from pipeline.simulate.timeline import simulate_days
from pipeline.simulate.write import Pace, Progress
from schemas.errors import UsageError

POOL_MESSAGES = 100_000
BLOCK_MESSAGES = 5_000
WEEK = 7 * DAY
# Whole weeks are a multiple of it: of a time in milliseconds the last five digits stay, as does a session's time of day.
_SAME_BELOW = 100_000
# The first millisecond since 1970 that has 13 digits, in September 2001.
EARLIEST_MS = 10**12

_TIME = re.compile(rb'":(\d{13})(?=[,}])')
_SESSION = re.compile(rb'"session_id":"[^"]*-(\d{8})-\d{9}"')
# Ids of what happened. A digit that says the kind of an id (version and variant of a UUID, 0100 of an e-mail's) stays.
_IDS = re.compile(
    rb'"(?:event_id|message_id|feedback_id|sender_request_id|_transaction_id|campaign_activity_id|journey_run_id)":"(?P<kept>(?:t-|0100)?)(?P<mixed>[0-9a-f-]+)"'
)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASH = ord("-")
_KEY_DIGITS = 32
_UUID_FIXED = (14, 19)
_UUID_LENGTH = 36

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Record = tuple[bytes, bytes]


def preload_topic(plan: Plan, producer: Producer, count: int, pace: Pace, encode: Encode = keep_json) -> Iterator[Progress]:
    """Send `count` events of `plan`, none of them dirty, every event id distinct; one Progress for each handful of them.

    Ends early after the pace's duration, or when `pace.wait` says so. The producer is not flushed. Errors as of `make_events`.
    """
    began: float | None = None
    sent = 0
    at_once = min(BLOCK_MESSAGES, max(1, int(pace.rate / 20))) if pace.rate else BLOCK_MESSAGES
    for records in make_events(plan, count):
        # The time that it took to make the pool is not part of the duration, or what was due meanwhile would come all at once.
        began = began or pace.now()
        for start in range(0, len(records), at_once):
            early = began + sent / pace.rate - pace.now() if pace.rate else 0
            if pace.wait(max(0, early)) or (pace.duration and pace.now() - began >= pace.duration):
                return
            some = records[start : start + at_once]
            producer.send_many([(key, encode(value)) for key, value in some])
            sent += len(some)
            yield Progress(sent, sent / count, pace.now() - began)


def make_events(plan: Plan, count: int) -> Iterator[list[Record]]:
    """`count` events of `plan` as (key, value), in lists of at most BLOCK_MESSAGES.

    Raises UsageError when so many would reach back to before 2001.
    """
    messages = itertools.chain.from_iterable(slot for _, slot in simulate_days(dataclasses.replace(plan, dirty=0.0)))
    pool = list(itertools.islice(messages, min(count, POOL_MESSAGES)))
    assert pool, "somebody joins in every plan"
    weeks = -(-(pool[-1].sent_ms + 1 - plan.start_ms) // WEEK)
    rounds = -(-count // len(pool))
    if plan.start_ms - (rounds - 1) * weeks * WEEK < EARLIEST_MS:
        most = ((plan.start_ms - EARLIEST_MS) // (weeks * WEEK) + 1) * len(pool)
        raise UsageError(
            f"Option '--preload' is {count}; expected at most {most} of this shop, or its times would lie before {_day(EARLIEST_MS)}. "
            "Ask for more --users, or send several times with another --seed."
        )
    blocks = [Block(pool[start : start + BLOCK_MESSAGES]) for start in range(0, len(pool), BLOCK_MESSAGES)]
    del pool
    left = count
    for number in range(rounds):
        key = _round_key(plan.seed, number)
        for block in blocks:
            records = block.write(key, number * weeks * WEEK)[:left]
            left -= len(records)
            yield records
            if not left:
                return


class Block:
    """Some messages of the pool side by side in one buffer, with the places of what each round writes over."""

    def __init__(self, messages: list[Message]) -> None:
        text = b"".join([message.value for message in messages])
        self._buffer = np.frombuffer(text, np.uint8).copy()
        self._keys = [message.key for message in messages]
        stops = np.cumsum([len(message.value) for message in messages]).tolist()
        self._bounds = list(zip([0, *stops[:-1]], stops, strict=True))
        # Few values differ, so each round works them out once and hands them out by place.
        found = [(match.start(1), int(match[1]) // _SAME_BELOW * _SAME_BELOW) for match in _TIME.finditer(text)]
        self._time_places, self._times, self._time_of_place = _index(found)
        found = [(match.start(1), _session_day(match[1].decode())) for match in _SESSION.finditer(text)]
        self._session_places, self._sessions, self._session_of_place = _index(found)
        self._id_places, self._digits, self._key_places = _find_digits(text, self._buffer)

    def write(self, key: Bytes, earlier_ms: int) -> list[Record]:
        """Key and value of each message, its ids mixed with `key` (32 numbers below 16), its times `earlier_ms` earlier."""
        buffer = self._buffer
        buffer[self._id_places] = _HEX[self._digits ^ key[self._key_places]]
        buffer[self._time_places] = _write_digits((self._times - earlier_ms) // _SAME_BELOW)[self._time_of_place]
        buffer[self._session_places] = _write_digits(_calendar(self._sessions - earlier_ms // DAY))[self._session_of_place]
        text = buffer.tobytes()
        return list(zip(self._keys, [text[start:stop] for start, stop in self._bounds], strict=True))


def _find_digits(text: bytes, buffer: Bytes) -> tuple[Ints, Bytes, Ints]:
    """Hexadecimal digits of all ids: where each stands, its value, and which number of a round's key it is mixed with.

    The last is its place within the id, so that an id that several records name is the same in all of them.
    """
    starts: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for match in _IDS.finditer(text):
        kept, end = match.span("kept")[0], match.end("mixed")
        starts[match.end("kept") - kept, end - kept].append(kept)
    places, key_places = [], []
    for (first, length), found in starts.items():
        within = np.array([place for place in range(first, length) if length != _UUID_LENGTH or place not in _UUID_FIXED])
        places.append((np.array(found)[:, None] + within).ravel())
        key_places.append(np.tile(within % _KEY_DIGITS, len(found)))
    place, key_place = np.concatenate(places), np.concatenate(key_places)
    is_digit = buffer[place] != _DASH
    place, key_place = place[is_digit], key_place[is_digit]
    digits = buffer[place]
    return place, np.where(digits > ord("9"), digits - ord("a") + 10, digits - ord("0")).astype(np.uint8), key_place


def _round_key(seed: int, number: int) -> Bytes:
    """32 numbers below 16 that no other round has; the first round's are 0, its ids are the plan's own."""
    bits = seeded(seed, 4, number).getrandbits(4 * _KEY_DIGITS) if number else 0
    return np.array([bits >> 4 * place & 15 for place in range(_KEY_DIGITS)], np.uint8)


def _index(found: list[tuple[int, int]]) -> tuple[Ints, Ints, Ints]:
    """(place, value) pairs as: the eight places from each on, the distinct values, which of them stands at which."""
    places, values = np.array(found, np.int64).reshape(-1, 2).T
    distinct, value_of_place = np.unique(values, return_inverse=True)
    return places[:, None] + np.arange(8), distinct, value_of_place


def _write_digits(numbers: Ints) -> Bytes:
    """The eight decimal digits of each number, a row each."""
    return (numbers[:, None] // 10 ** np.arange(7, -1, -1) % 10 + ord("0")).astype(np.uint8)


def _calendar(days: Ints) -> Ints:
    """Days since 1970 as YYYYMMDD."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    month_numbers = months.astype(np.int64)
    calendar: Ints = (month_numbers // 12 + 1970) * 10_000 + (month_numbers % 12 + 1) * 100 + (dates - months).astype(np.int64) + 1
    return calendar


@functools.cache
def _session_day(text: str) -> int:
    """YYYYMMDD as days since 1970."""
    return int(datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).timestamp()) * 1000 // DAY


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
