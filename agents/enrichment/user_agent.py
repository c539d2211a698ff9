"""What a user agent says of the device, and whether it is a bot: looked up once for each distinct one."""

import functools
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

# What counts of a user agent; a longer one is read up to here, so that the memory of what was looked up stays bounded.
LENGTH_MAX = 512
REMEMBERED_MAX = 8192


class UserAgent(NamedTuple):
    """What a user agent says, in ua-parser's spelling; null for what it does not say. `bot_rule` is name@version."""

    platform: str | None = None
    platform_version: str | None = None
    make: str | None = None
    model: str | None = None
    browser: str | None = None
    bot_rule: str | None = None


def look_up_user_agents(values: Sequence[str | None]) -> pa.Table:
    """One row for each value, in order: columns agent_platform, agent_platform_version, agent_make, agent_model, agent_browser and
    agent_bot_rule, all text."""
    found = [parse_user_agent(value[:LENGTH_MAX]) if value else UserAgent() for value in values]
    columns = list(zip(*found, strict=True)) or [()] * len(UserAgent._fields)
    return pa.table({f"agent_{name}": pa.array(column, pa.string()) for name, column in zip(UserAgent._fields, columns, strict=True)})


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def parse_user_agent(text: str) -> UserAgent:
    """Read one user agent; about 10 us, or nothing when it was read before."""
    if text.startswith("aws-sdk-android/"):
        # It goes on with the version of Linux, not of Android.
        return UserAgent(platform="Android")
    # "aws-sdk-iOS/2.27.0 iOS/15.1" would read as iOS 2.27.0.
    found = _parser().parse(text.removeprefix("aws-sdk-iOS/"))
    system, device, browser = found.os, found.device, found.user_agent
    is_spider = device is not None and device.family == "Spider"
    is_known = device is not None and device.brand is not None and not device.brand.startswith(("Generic", "Spider"))
    return UserAgent(
        platform=system.family if system else None,
        platform_version=_version(system) if system else None,
        make=device.brand if device is not None and is_known else None,
        model=device.model if device is not None and is_known else None,
        browser=browser.family if browser else None,
        bot_rule=_find_bot_rule(text, is_spider),
    )


@functools.cache
def _parser() -> Any:
    # The resolver in Rust: 8 us a user agent and 24 MB. The pure one takes 370 us and 6 MB, and as many patterns as there are can be
    # made slow by who sends; this one's time is linear. Loaded with the first user agent, 0.2 s.
    from ua_parser import Parser
    from ua_parser.loaders import load_builtins
    from ua_parser.regex import Resolver

    return Parser(Resolver(load_builtins()))


def _version(system: Any) -> str | None:
    parts = [part for part in (system.major, system.minor, system.patch) if part is not None]
    return ".".join(parts) or None


class _Bots(NamedTuple):
    """The list of our own: name@version of each rule, and parts of user agents in lower case."""

    rule: str
    parts: tuple[str, ...]
    spider_rule: str
    libraries: tuple[str, ...]


@functools.cache
def load_bots() -> _Bots:
    """Load bots.json. The rule that takes ua-parser's word has the versions of both: its patterns' and that of our exceptions."""
    found = json.loads((Path(__file__).parent / "bots.json").read_text())
    version = found["version"]
    return _Bots(
        rule=f"{found['name']}@{version}",
        parts=tuple(found["parts"]),
        spider_rule=f"ua-parser-spider@{importlib.metadata.version('ua-parser-builtins')}.{version}",
        libraries=tuple(found["libraries"]),
    )


def _find_bot_rule(text: str, is_spider: bool) -> str | None:
    bots, text = load_bots(), text.lower()
    if any(part in text for part in bots.parts):
        return bots.rule
    return bots.spider_rule if is_spider and not any(part in text for part in bots.libraries) else None
