"""Membership of the consumer group that outlasts an answer of Kafka's which names no cause.

A broker in which something fails answers UNKNOWN_SERVER_ERROR. aiokafka takes that for an error of the program: a worker that is joining its group
for the first time would wait for ever, and one that joins it again would end.
"""

import asyncio
import logging
from collections.abc import Awaitable

import aiokafka.consumer.consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError, UnknownError

log = logging.getLogger(__name__)

_BACKOFF_SECS = 1.0


def install() -> None:
    """Let every consumer of this process join its group with it."""
    aiokafka.consumer.consumer.GroupCoordinator = PatientCoordinator


class PatientCoordinator(GroupCoordinator):  # type: ignore[misc]
    """aiokafka's, which joins again after such an answer."""

    def _push_error_to_user(self, exc: KafkaError) -> Awaitable[object]:
        # So it says what it was answered to JoinGroup and SyncGroup; it has asked itself to join again by then.
        if exc.args != (repr(UnknownError()),):
            awaited: Awaitable[object] = super()._push_error_to_user(exc)
            return awaited
        log.warning("Kafka's group coordinator failed and named no cause (UNKNOWN_SERVER_ERROR); joining the group again.")
        return asyncio.sleep(_BACKOFF_SECS)
