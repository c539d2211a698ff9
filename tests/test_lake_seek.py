"""Seeking after a rebalance: the lake is asked once for each assignment, and always when positions may be others."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.structs import TopicPartition
from faust.types import TP

from pipeline.lake_seek import LakeSeek

TOPIC = "raw-events"


class Member:
    """aiokafka's own record of what a member has been assigned; the lake wants `wanted` of each partition, which grows by 10 with each time it is asked."""

    def __init__(self) -> None:
        self.state = SubscriptionState()
        self.state.subscribe(topics={TOPIC})
        self.consumer = SimpleNamespace(_subscription=self.state, assignment=self.state.assigned_partitions, seek=self.state.seek)
        self.asked: list[set[int]] = []
        self.told: dict[int, int] = {}
        self.while_asked: Callable[[], None] = lambda: None
        self.seek = LakeSeek(lambda: self.consumer, self.ask_lake, self.note_read_offset, lambda: False)

    def assign(self, *partitions: int) -> None:
        self.state.assign_from_subscribed({TopicPartition(TOPIC, partition) for partition in partitions})

    def note_read_offset(self, tp: TP, offset: int) -> None:
        self.told[tp.partition] = offset

    async def ask_lake(self, assigned: Collection[Any]) -> Mapping[TP, int]:
        self.asked.append({tp.partition for tp in assigned})
        wanted = {TP(TOPIC, tp.partition): 10 * len(self.asked) for tp in assigned}
        await asyncio.sleep(0)
        self.while_asked()
        self.while_asked = lambda: None
        return wanted

    def position(self, partition: int) -> int:
        state = self.state.subscription.assignment.state_value(TopicPartition(TOPIC, partition))
        assert state.has_valid_position
        return int(state.position)


def run(scene: Callable[[Member], Awaitable[None]]) -> None:
    async def play() -> None:
        await scene(Member())

    asyncio.run(play())


def test_the_lake_is_asked_once_in_a_rebalance_for_which_faust_asks_twice() -> None:
    async def scene(member: Member) -> None:
        member.assign(0, 1)
        assert await member.seek.after_rebalance() == await member.seek.after_rebalance() == {TP(TOPIC, 0): 10, TP(TOPIC, 1): 10}
        assert (member.asked, member.position(1), member.told) == ([{0, 1}], 10, {0: 10, 1: 10})

    run(scene)


def test_the_same_partitions_of_another_rebalance_are_sought_again() -> None:
    async def scene(member: Member) -> None:
        member.assign(0, 1)
        await member.seek.after_rebalance()
        # aiokafka forgets its positions, and others may have landed meanwhile.
        member.assign(0, 1)
        await member.seek.after_rebalance()
        assert (member.asked, member.position(0)) == ([{0, 1}, {0, 1}], 20)

    run(scene)


@pytest.mark.parametrize("is_read", [True, False])
def test_what_was_read_since_is_sought_again(is_read: bool) -> None:
    async def scene(member: Member) -> None:
        member.assign(0)
        await member.seek.after_rebalance()
        if is_read:
            member.seek.note_reading()
        await member.seek.after_rebalance()
        assert len(member.asked) == 1 + is_read

    run(scene)


def test_a_partition_that_was_fenced_is_sought_in_any_case() -> None:
    async def scene(member: Member) -> None:
        member.assign(0)
        await member.seek.after_rebalance()
        assert await member.seek.anew() == {TP(TOPIC, 0): 20}
        assert member.position(0) == 20

    run(scene)


def test_partitions_that_change_while_the_lake_is_asked_are_asked_for_again() -> None:
    async def scene(member: Member) -> None:
        member.assign(0, 1)
        member.while_asked = lambda: member.assign(1)
        assert await member.seek.after_rebalance() == {TP(TOPIC, 1): 20}
        assert (member.asked, member.position(1), member.told) == ([{0, 1}, {1}], 20, {1: 20})

    run(scene)


def test_all_who_wait_are_served_by_what_began_after_the_last_of_them_asked() -> None:
    async def scene(member: Member) -> None:
        member.assign(0)
        found = await asyncio.gather(*(member.seek.anew() for _ in range(5)))
        # The first asked before the others came; the second serves them all.
        assert (len(member.asked), [list(one.values()) for one in found]) == (2, [[10], [20], [20], [20], [20]])

    run(scene)
