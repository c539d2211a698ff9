"""What goes wrong on the way: a share of the messages is sent again, late, with a wrong clock, drifted or malformed."""

import random
import re
from collections.abc import Callable, Iterator

from pipeline.simulate.malformed import spoil_value
from pipeline.simulate.plan import DAY, HOUR, MINUTE, raised, spread
from pipeline.simulate.records import DUPLICATE, Message

LATE_DAYS_MAX = 6
_SENT_AT = re.compile(rb'"sent_at":(\d+)')


class Dirt:
    """Spoils the share `share` of what it is given; messages sent from `end_ms` on come to nobody, so nothing is put off so far."""

    def __init__(self, share: float, end_ms: int) -> None:
        self._share = share
        self._end_ms = end_ms
        self._malformed = 0
        self._acts: list[Callable[[random.Random, Message], Iterator[Message]]] = spread(
            (self._resend, 30),
            (self._resend_with_other_arrival, 10),
            (self._delay, 15),
            (self._set_clock_ahead, 5),
            (self._reuse_event_id, 5),
            (self._drift, 10),
            (self._add_malformed, 25),
        )

    def spoil(self, rng: random.Random, messages: list[Message]) -> list[Message]:
        """The messages with some replaced and some added, in no order; those that nothing happens to stay as they are."""
        if not self._share:
            return messages
        chance = rng.random
        # From one mishap to the next it is at least one message, and one over the share on average.
        gap = 2 / self._share - 1
        count = len(messages)
        position = chance() * gap
        while position < count:
            index = int(position)
            first, *others = self._acts[int(chance() * len(self._acts))](rng, messages[index])
            messages[index] = first
            messages += others
            position = index + 1 + chance() * gap
        return messages

    def _resend(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """The SDK did not hear the answer and sends the same bytes again, seconds to two days later."""
        yield message
        yield message._replace(sent_ms=message.sent_ms + 1000 + int(raised(rng.random(), 4) * 2 * DAY), outcome=DUPLICATE, purchase=None)

    def _resend_with_other_arrival(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """As before, through a collector that stamps each copy with its own arrival."""
        yield message
        later = 5000 + int(raised(rng.random(), 4) * HOUR)
        yield _arrive(message, message.sent_ms + later)._replace(outcome=DUPLICATE, purchase=None)

    def _delay(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """The device was offline for hours or days."""
        room = self._end_ms - message.sent_ms - MINUTE
        yield _arrive(message, message.sent_ms + max(0, min(room, HOUR + int(rng.random() * LATE_DAYS_MAX * DAY))))

    def _set_clock_ahead(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """One page view bears a time that is still to come: an hour to two years ahead."""
        if message.event_type not in ("screen.view", "product.view"):
            yield message
        else:
            yield _happen(message, message.event_ms + HOUR + int(raised(rng.random(), 3) * 730 * DAY))

    def _reuse_event_id(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """Another event under the same id, as apps write it that call every event 'event1'."""
        yield message
        yield _happen(message, message.event_ms + 1 + int(rng.random() * 2000))

    def _drift(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """A release of the app whose records are a little different: a field more, a number where text stood. They land all the same."""
        kind = int(rng.random() * 3)
        value = message.value
        if kind == 0:
            value = value.replace(b'{"event_id":', b'{"experiment":{"name":"big-buttons","arm":2},"event_id":', 1)
        elif kind == 1:
            value = value.replace(b'"event_version":"3.0",', b'"event_version":3.0,', 1)
        else:
            value = value.replace(b'"attributes":{}', b'"attributes":{"is_beta":true}', 1)
            value = value.replace(b'"attributes":{"', b'"attributes":{"is_beta":true,"', 1) if value == message.value else value
        yield message._replace(value=value)

    def _add_malformed(self, rng: random.Random, message: Message) -> Iterator[Message]:
        """A message beside the good one that cannot become an event."""
        yield message
        reason, value = spoil_value(self._malformed, message.value)
        self._malformed += 1
        yield message._replace(value=value, outcome=reason.value, purchase=None)


def _arrive(message: Message, at_ms: int) -> Message:
    """The message as it is when it arrives at `at_ms`, sent as much later."""
    value = _SENT_AT.sub(lambda sent: b'"sent_at":%d' % (int(sent[1]) + at_ms - message.arrival_ms), message.value, 1)
    for name in (b"arrival_timestamp", b"received_at"):
        value = value.replace(b'"%s":%d' % (name, message.arrival_ms), b'"%s":%d' % (name, at_ms), 1)
    return message._replace(sent_ms=at_ms, arrival_ms=at_ms, value=value)


def _happen(message: Message, at_ms: int) -> Message:
    """The message with `at_ms` as its event_timestamp."""
    value = message.value.replace(b'"event_timestamp":%d' % message.event_ms, b'"event_timestamp":%d' % at_ms, 1)
    return message._replace(event_ms=at_ms, value=value)
