"""Opens a definitions database in a process of its own, when it is told to, and puts an app into it; "unguarded" takes the locks away.

python -m tests.open_definitions APP_ID [unguarded]: prints "ready", waits for a line, prints "done".
"""

import sys
import time
import uuid
from contextlib import nullcontext
from typing import Any

import alembic.command
from sqlalchemy import Connection

from pipeline.config import load_settings
from pipeline.definitions import migrate, sqlite
from pipeline.definitions.apps import create_app
from pipeline.definitions.database import changing, open_definitions

_upgrade = alembic.command.upgrade


def _upgrade_slowly(*given: Any) -> None:
    # Long enough for everybody else to have seen that there is nothing yet, before it and before it is committed.
    time.sleep(1)
    _upgrade(*given)
    time.sleep(1)


def _begin_without_a_lock(connection: Connection) -> None:
    connection.exec_driver_sql("begin")


def main() -> None:
    vars(alembic.command).update(upgrade=_upgrade_slowly)
    if "unguarded" in sys.argv:
        vars(sqlite).update(locked_folder=nullcontext, _begin=_begin_without_a_lock)
        vars(migrate).update(_LOCK_NUMBER=uuid.uuid4().int % 2**62)
    print("ready", flush=True)
    sys.stdin.readline()
    with changing(open_definitions(load_settings())) as connection:
        create_app(connection, "An app", sys.argv[1])
    print("done", flush=True)


if __name__ == "__main__":
    main()
