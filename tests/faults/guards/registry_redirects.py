"""A schema registry's redirect is not followed. Without this guard it leads a worker to any address that the worker reaches."""

from typing import Any
from unittest import mock

import requests


def remove() -> None:
    get = requests.Session.get

    def follow(session: requests.Session, address: str, **given: Any) -> requests.Response:
        return get(session, address, **given | {"allow_redirects": True})

    mock.patch.object(requests.Session, "get", follow).start()
