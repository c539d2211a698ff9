"""An API that lacks a guard: `python -m tests.fragile_api`. It takes for granted that a body has its members."""

from typing import Any

from pipeline.api import apps
from pipeline.commands import serve

app = serve.app


def take_for_granted(body: dict[str, Any], name: str) -> str:
    return str(body[name])


vars(apps)["text_member"] = take_for_granted
