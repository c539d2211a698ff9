"""Waits for Kafka's first answer; when none comes, says why. librdkafka passes on what TLS and SASL object to, kafka-python does not."""

from collections import deque
from typing import Any

import confluent_kafka

from pipeline.config import Settings
from pipeline.stores import confluent_options, describe_security
from schemas.errors import UnavailableError

# Reasons come between two requests, so the first ones are short.
REQUEST_SECS = (0.5, 1.0, 3.0)
REFUSALS = (confluent_kafka.KafkaError._AUTHENTICATION, confluent_kafka.KafkaError._SSL)


class Failures:
    """What librdkafka says of its connections; `note` is the `error_cb` of a client."""

    def __init__(self) -> None:
        self._noted: deque[Any] = deque(maxlen=20)

    def note(self, error: Any) -> None:
        # That all brokers are down is said beside the reason.
        if error.code() != confluent_kafka.KafkaError._ALL_BROKERS_DOWN:
            self._noted.append(error)

    @property
    def refusal(self) -> str:
        """The newest objection to our certificate, name or password or to the broker's certificate; '' when there is none."""
        return next((str(error.str()) for error in reversed(self._noted) if _is_refusal(error)), "")

    @property
    def newest(self) -> str:
        return str(self._noted[-1].str()) if self._noted else ""


def wait_for_answer(settings: Settings, client: Any, failures: Failures) -> Any:
    """The cluster's metadata; `client` is a producer of confluent-kafka whose `error_cb` is `failures.note`.

    Raises UnavailableError when none comes in time, and as soon as a broker refuses us or we refuse it.
    """
    last = ""
    for secs in REQUEST_SECS:
        try:
            return client.list_topics(timeout=secs)
        except confluent_kafka.KafkaException as error:
            last = error.args[0].str()
            client.poll(0)
            if failures.refusal:
                break
    raise unavailable(settings, failures.refusal or failures.newest or last)


def require_answer(settings: Settings) -> None:
    """See that a broker answers, TLS and SASL included.

    Raises UnavailableError when none does.
    """
    failures = Failures()
    wait_for_answer(settings, confluent_kafka.Producer(confluent_options(settings) | {"error_cb": failures.note}), failures)


def unavailable(settings: Settings, why: str) -> UnavailableError:
    """The error that names where Kafka was looked for and everything that was shown to it."""
    return UnavailableError(
        f"Kafka at '{settings.kafka_servers}' (HEADWATER_KAFKA) does not answer ({why}); expected host:port of running brokers that speak "
        f"{describe_security(settings)}. Start it ('headwater up' starts the local one), or name another."
    )


def _is_refusal(error: Any) -> bool:
    # TLS 1.3 objects to a client's certificate after the handshake; librdkafka counts that as transport.
    return error.code() in REFUSALS or "SSL routines" in error.str()
