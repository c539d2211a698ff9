"""An API that lacks a guard of endpoints: `python -m tests.rigged_endpoints_api`, RIG says which.

hasty-as-of: the header says now, whatever has been merged. no-wait: DeleteUserEndpoints deletes what is known already. any-key: a key's
scopes are not looked at.
"""

import datetime as dt
import os
from typing import Any

from pipeline.api import shown, users
from pipeline.auth.gate import Caller
from pipeline.commands import serve

app = serve.app


async def wait_for_nothing(*_: Any) -> None:
    """The guard, off."""


match os.environ["RIG"]:
    case "hasty-as-of":
        vars(shown)["format_moment"] = lambda _: dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    case "no-wait":
        vars(users)["wait_for_accepted"] = wait_for_nothing
    case "any-key":
        vars(Caller)  # a class's members are set by setattr alone
        setattr(Caller, "require", lambda *_: None)  # noqa: B010
