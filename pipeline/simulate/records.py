"""A message on its way: the record's bytes, when they are sent, and what the pipeline should make of them."""

from collections.abc import Mapping
from typing import NamedTuple

LANDED = "landed"
DUPLICATE = "duplicate"


class Fact(NamedTuple):
    """What a record says of a message, for the ledger.

    `kind` is the last part of the event type, or of a decision its status; `cause` the campaign or journey, "" for none; `message` what tells it from
    other messages to the same endpoint; of opens and clicks `agent`, and `touched`, the link or the address; of texts their parts, and the price
    in thousandths of a US cent where the record says it. `is_of_campaign` tells a campaign's cause from a journey's.
    """

    channel: str
    kind: str
    cause: str
    message: str
    agent: str = ""
    touched: str = ""
    parts: int = 0
    price: float = 0.0
    is_of_campaign: bool = False


class Message(NamedTuple):
    """One Kafka record to be.

    `sent_ms` orders the messages; `outcome` is LANDED, DUPLICATE or the reason of a dead letter. The rest says what the record
    holds, for the ledger: `user_id` only where the record itself names it, `event_ms` and `arrival_ms` as in the record,
    `purchase` as (cents, quantity), `fact` of what became of a message, `behind_ms` received_at less sent_at where the record has both: how far behind the sender's clock is.
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
    fact: Fact | None = None


def build_fact(channel: str, kind: str, ids: Mapping[str, str], message_id: str = "", agent: str = "", touched: str = "") -> Fact:
    """A fact of the message that `ids` of a campaign or a journey caused; without any, it is the message's own id that tells it apart."""
    message = ids.get("campaign_activity_id") or ":".join(ids[name] for name in ("journey_run_id", "journey_activity_id") if name in ids)
    cause = ids.get("campaign_id") or ids.get("journey_id", "")
    return Fact(channel, kind, cause, message or message_id, agent, touched, is_of_campaign="campaign_id" in ids)
