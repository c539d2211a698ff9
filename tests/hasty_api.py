"""An API that lacks a guard: `python -m tests.hasty_api`. It says Accepted as soon as a record is queued, before Kafka has it."""

import threading
from collections.abc import Sequence

from pipeline.api.context import Api
from pipeline.api.metrics import ApiMetrics
from pipeline.api.outlet import OpenOutlet, Outlet
from pipeline.api.server import build_api
from pipeline.collect.outgoing import Outgoing
from pipeline.commands import serve
from pipeline.config import Settings

# Longer than an honest outlet waits for a batch to fill, as somebody in a hurry would set it for throughput.
LINGER_SECS = 0.5


class HastyOutlet(Outlet):
    """Queues, and answers."""

    async def send(self, records: Sequence[Outgoing]) -> list[bool]:
        def give() -> None:
            for record in records:
                self._producer.produce(self._names[record.topic], record.value, record.key)

        threading.Timer(LINGER_SECS, give).start()
        return [True] * len(records)


def build_hastily(settings: Settings, metrics: ApiMetrics, open_outlet: OpenOutlet = HastyOutlet) -> Api:
    return build_api(settings, metrics, open_outlet)


app = serve.app
vars(serve)["build_api"] = build_hastily
