"""What user agents say: devices, browsers and bots, once for each distinct one."""

import hashlib
import importlib.metadata
import json
from pathlib import Path

import pytest

import agents
from agents.enrichment.user_agent import LENGTH_MAX, REMEMBERED_MAX, UserAgent, load_bots, look_up_user_agents, parse_user_agent

OWN_RULE = "user-agent-bot@1"
SPIDER_RULE = f"ua-parser-spider@{importlib.metadata.version('ua-parser-builtins')}.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36",
            UserAgent("Android", "13", "Google", "Pixel 7", "Chrome Mobile"),
        ),
        ("Dalvik/2.1.0 (Linux; U; Android 12; SM-G991B Build/SP1A)", UserAgent("Android", "12", "Samsung", "SM-G991B", "Android")),
        ("aws-sdk-iOS/2.27.0 iOS/15.1 en_US", UserAgent("iOS", "15.1")),
        ("aws-sdk-android/2.22.6 Linux/5.4 Dalvik/2.1.0/0 en_US", UserAgent("Android")),
        ("aws-amplify/5.0.4 react-native js", UserAgent()),
        # A device of no known maker is none.
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36",
            UserAgent("Android", "10", browser="Chrome Mobile"),
        ),
    ],
)
def test_user_agent_gives_the_device_and_the_browser(text: str, expected: UserAgent) -> None:
    assert parse_user_agent(text) == expected


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", SPIDER_RULE),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36", OWN_RULE),
        ("kube-probe/1.29", OWN_RULE),
        # Servers that send events for people are no bots.
        ("okhttp/4.9.3", None),
        ("Boto3/1.43.117 md/Botocore#1.43.117 ua/2.0 os/linux#6.1", None),
        ("Java/1.8.0_392", None),
        ("python-requests/2.31", None),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", None),
    ],
)
def test_bots_are_told_by_the_rule_that_knows_them(text: str, rule: str | None) -> None:
    assert parse_user_agent(text).bot_rule == rule


def test_own_list_of_bots_changes_its_version_with_its_content() -> None:
    found = json.loads((Path(agents.__file__).parent / "enrichment" / "bots.json").read_text())
    known = {1: "848a99eb"}
    digest = hashlib.sha256(json.dumps([found["parts"], found["libraries"]]).encode()).hexdigest()[:8]
    assert known.get(found["version"]) == digest, "parts changed: raise the version in bots.json and add it here, never edit a line"
    assert (load_bots().rule, load_bots().spider_rule) == (OWN_RULE, SPIDER_RULE)
    assert [part for part in found["parts"] + found["libraries"] if part != part.lower()] == []


def test_look_up_gives_one_row_for_each_value_in_order_and_nulls_for_none() -> None:
    found = look_up_user_agents([None, "kube-probe/1.29", "", "kube-probe/1.29"])
    assert found["agent_bot_rule"].to_pylist() == [None, OWN_RULE, None, OWN_RULE]
    assert found.column_names == [f"agent_{name}" for name in UserAgent._fields]
    assert look_up_user_agents([]).num_rows == 0


def test_what_is_remembered_is_bounded_in_number_and_in_length() -> None:
    parse_user_agent.cache_clear()
    look_up_user_agents([f"agent {number} " + "x" * 100_000 for number in range(REMEMBERED_MAX + 10)])
    assert parse_user_agent.cache_info().currsize == REMEMBERED_MAX
    look_up_user_agents(["a" * LENGTH_MAX + "kube-probe"])
    assert parse_user_agent("a" * LENGTH_MAX).bot_rule is None
    assert parse_user_agent.cache_info().hits == 1, "the rest of a long one is not looked at"
