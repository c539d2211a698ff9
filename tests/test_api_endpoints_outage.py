"""Endpoints over the API while Kafka or the worker is away: what is there is shown, as of when it was; nothing is half deleted."""

import datetime as dt
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.stack.readiness import answers_kafka
from pipeline.stack.supervision import Supervisor
from pipeline.topics import ensure_topics
from tests.api_process import ApiProcess, make_app, serving
from tests.conftest import bare_stack
from tests.test_api_endpoints import Shop, read_metrics, refusal, wait_until_shown
from tests.worker_process import WorkerProcess, running, wait_until


@pytest.mark.timeout(400)
def test_while_kafka_is_away_reads_go_on_and_nothing_is_accepted(tmp_path: Path) -> None:
    with bare_stack(tmp_path / "home") as settings:
        ensure_topics(settings)
        make_app(settings)
        supervisor = Supervisor(settings)
        with serving(ApiProcess(settings, tmp_path, HEADWATER_ACK_SECS_MAX="1")) as api, running(WorkerProcess(settings, tmp_path)):
            shop = Shop(api)
            wait_until_shown(shop)
            shop.show_since("phone-1", shop.put("phone-1", Address="before", User={"UserId": "u1"}))
            supervisor.call("stopProcess", "kafka")
            failures = read_metrics(api)["headwater_api_endpoints_failures_total"]
            wait_until(lambda: read_metrics(api)["headwater_api_endpoints_failures_total"] > failures, "Kafka is missed")
            stood = shop.show("phone-1")[1]
            assert stood < dt.datetime.now(dt.UTC)
            assert refusal(lambda: shop.put("phone-1", Address="meanwhile"))[:2] == (500, "InternalServerErrorException")
            status, _, message = refusal(lambda: shop.pinpoint.delete_user_endpoints(ApplicationId="shop", UserId="u1"))
            assert (status, "Nothing was changed" in message) == (500, True)
            found, as_of = shop.show("phone-1")
            assert found is not None
            assert (found["Address"], as_of) == ("before", stood)
            supervisor.call("startProcess", "kafka")
            wait_until(lambda: answers_kafka(settings), "Kafka answers again")
            wait_until(lambda: shop.show("phone-1")[1] > stood, "the header moves on again")
            assert shop.show_user_since("u1", dt.datetime.now(dt.UTC)) == ["phone-1"]


def test_endpoints_that_no_worker_has_landed_are_no_404(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path)) as before:
        accepted = Shop(before).put("phone-1", Address="a")
    # One that starts now finds a topic with records, and no table.
    with serving(ApiProcess(settings, tmp_path)) as api:
        shop = Shop(api)

        def explain() -> str:
            status, _, message = refusal(lambda: shop.show("phone-1"))
            assert status == 500
            return message

        wait_until(lambda: "see that a worker runs" in explain(), "the reason is said")
        with running(WorkerProcess(settings, tmp_path)):
            wait_until_shown(shop)
            assert shop.show_since("phone-1", accepted) is not None
