"""A worker whose group coordinator fails: `python -m tests.failing_coordinator_worker`.

The first FAILED_SYNCS answers to its SyncGroup requests say UNKNOWN_SERVER_ERROR, as a broker says when something went wrong in it.
"""

import os
import sys
from typing import Any
from unittest import mock

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownError
from aiokafka.protocol.group import SyncGroupRequest

from pipeline.cli import main as run_command

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


def main() -> None:
    """Run `headwater worker` against such a coordinator."""
    mock.patch.object(GroupCoordinator, "_send_req", send_and_fail).start()
    sys.argv = ["headwater", "worker"]
    run_command()


if __name__ == "__main__":
    main()
