"""A worker whose group coordinator fails: `python -m tests.faults.hosts.failing_coordinator`.

The first FAILED_SYNCS answers to its SyncGroup requests say UNKNOWN_SERVER_ERROR, as a broker says when something went wrong in it. Otherwise the environment
is as in rig/fault_worker.py.
"""

import os
from typing import Any
from unittest import mock

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownError
from aiokafka.protocol.group import SyncGroupRequest

from tests.faults.rig import fault_worker

_send = GroupCoordinator._send_req
_left = int(os.environ.get("FAILED_SYNCS", "0"))


async def send_and_fail(self: GroupCoordinator, request: Any) -> Any:
    """Ask the broker, and let it have failed."""
    global _left
    response = await _send(self, request)
    if isinstance(request, SyncGroupRequest) and _left > 0:
        _left -= 1
        response.error_code = UnknownError.errno
    return response


def behind_failing_coordinator(worker: fault_worker.FaultWorker, failed_syncs: int) -> fault_worker.FaultWorker:
    """That worker, with such a coordinator."""
    worker.module = "tests.faults.hosts.failing_coordinator"
    worker.rig["FAILED_SYNCS"] = str(failed_syncs)
    return worker


def main() -> None:
    """Run `headwater worker` against such a coordinator."""
    mock.patch.object(GroupCoordinator, "_send_req", send_and_fail).start()
    fault_worker.main()


if __name__ == "__main__":
    main()
