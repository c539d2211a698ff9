"""Texts of the simulator that no campaign sends: news of an order, in parts that cost something; the ledger adds up both."""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.simulate import sends
from pipeline.simulate.ledger import Ledger
from pipeline.simulate.people import People, Person
from pipeline.simulate.plan import MINUTE, Plan, seeded
from pipeline.simulate.records import LANDED, Fact, Message
from pipeline.simulate.timeline import simulate_days
from tests.simulated import START

PLAN = Plan(users=300, days=6, start=START, seed=11, dirty=0.0)
NOON = 1_790_000_000_000


def run() -> list[Message]:
    return list(itertools.chain.from_iterable(messages for _, messages in simulate_days(PLAN)))


def news_of_order(person: Person) -> list[dict[str, Any]]:
    """Records of the texts after a purchase of `person` that ended at noon."""
    messages = sends.answer_session(seeded(1), PLAN, person, {"_monetization.purchase", "cart.add"}, NOON)
    return [json.loads(message.value) for message in messages if message.event_type.startswith("_SMS.")]


def people(country: str | None = None, has_phone: bool = True) -> list[Person]:
    everybody = map(People(PLAN).find, range(PLAN.users))
    return [one for one in everybody if (one.phone is not None) is has_phone and country in (None, one.country)]


def test_a_purchase_is_followed_by_a_text_to_an_endpoint_of_its_own() -> None:
    (person, *_) = people()
    assert person.phone is not None
    buffered, told, *_ = news_of_order(person)
    assert (buffered["event_type"], buffered["event_timestamp"]) == ("_SMS.BUFFERED", NOON + 10 * MINUTE + 800)
    assert told["event_type"] in ("_SMS.SUCCESS", "_SMS.FAILURE")
    for record in (buffered, told):
        attributes = record["attributes"]
        assert (attributes["message_type"], attributes["destination_phone_number"]) == ("Transactional", person.phone.address)
        assert [name for name in attributes if name.startswith(("campaign", "journey", "treatment"))] == []
        assert attributes["message_id"] == buffered["attributes"]["message_id"]
        assert record["client"] == buffered["client"] != {"client_id": person.phone.endpoint_id}


def test_who_gave_no_number_gets_none() -> None:
    assert [record for person in people(has_phone=False) for record in news_of_order(person)] == []


# Of Pinpoint's prices a part, in thousandths of a US cent.
@pytest.mark.parametrize(("country", "parts", "price"), [("US", 1, 645.0), ("GB", 1, 3980.0), ("JP", 2, 10_620.0)])
def test_a_text_says_its_parts_and_once_it_is_told_of_its_price(country: str, parts: int, price: float) -> None:
    buffered, told, *_ = news_of_order(people(country)[0])
    assert {record["attributes"]["number_of_message_parts"] for record in (buffered, told)} == {str(parts)}
    assert "metrics" not in buffered
    assert told["metrics"] == {"price_in_millicents_usd": price}


def test_all_other_records_are_as_they_are_without_news_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Counter(message.event_type for message in run() if message.fact and (message.fact.channel, message.fact.cause) == ("SMS", ""))
    others = [message for message in run() if message.fact is None or (message.fact.channel, message.fact.cause) != ("SMS", "")]
    assert texts["_SMS.BUFFERED"] >= texts["_SMS.SUCCESS"] > 0
    monkeypatch.setattr(sends, "_send_news_of_order", lambda plan, person, now: [])
    assert run() == others


def amounts(facts: Sequence[Fact]) -> tuple[float, ...]:
    ledger = Ledger(PLAN)
    ledger.add([Message(NOON, b"shop/a", b"{}", LANDED, f"_SMS.{fact.kind}", "a", NOON, NOON, fact=fact) for fact in facts])
    figures = ledger.report()["messages"]["SMS"]["transactional"]
    return tuple(figures[name] for name in ("sent", "delivered", "parts", "price_millicents"))


def test_ledger_adds_up_parts_and_prices_of_messages_and_not_of_what_is_told_of_them() -> None:
    one = [Fact("SMS", "BUFFERED", "", "m1", parts=2), Fact("SMS", "SUCCESS", "", "m1", parts=2, price=1290.0)]
    other = [Fact("SMS", "BUFFERED", "", "m2", parts=1), Fact("SMS", "FAILURE", "", "m2", parts=1, price=645.0)]
    # Two messages of 2 + 1 parts, of which one was delivered; told again, as under an event id that is used twice, they are still two.
    assert amounts([*one, *other]) == amounts([*one, *other, *one, *one]) == (2, 1, 3, 1935.0)
    assert amounts(one[:1]) == (1, 0, 2, 0.0)
