"""A message on its way: the record's bytes, when they are sent, and what the pipeline should make of them."""

from typing import NamedTuple

LANDED = "landed"
DUPLICATE = "duplicate"


class Message(NamedTuple):
    """One Kafka record to be.

    `sent_ms` orders the messages; `outcome` is LANDED, DUPLICATE or the reason of a dead letter. The rest says what the record
    holds, for the ledger: `user_id` only where the record itself names it, `event_ms` and `arrival_ms` as in the record,
    `purchase` as (cents, quantity), `behind_ms` received_at less sent_at where the record has both: how far behind the sender's clock is.
    """

    sent_ms: int
    key: bytes
    value: bytes
    outcome: str
    event_type: str
    endpoint_id: str
    event_ms: int
    arrival_ms: int
    user_id: str | None = None
    session_id: str | None = None
    purchase: tuple[int, int] | None = None
    is_bot: bool = False
    behind_ms: int = 0
