"""`headwater dead-letters`: list, count, show, and what it says of wrong arguments."""

import base64
import json
from datetime import UTC, datetime

import pytest

from pipeline.config import Settings
from tests.conftest import RunHeadwater
from tests.lake_rows import dead_letter, write_lake

EARLY, LATE = datetime(2026, 11, 23, 12, tzinfo=UTC), datetime(2026, 11, 23, 13, tzinfo=UTC)


@pytest.fixture
def letters(settings: Settings) -> Settings:
    """Three dead letters: two that are no JSON, one of bytes that are no text."""
    write_lake(
        settings,
        "dead_letters",
        [
            dead_letter(_partition=0, _offset=41, _appended_at=EARLY, value=b"garbage"),
            dead_letter(_partition=1, _offset=7, _appended_at=LATE, value=b"{" + b"x" * 300, value_bytes=301),
            dead_letter(
                _partition=2, _offset=8, _appended_at=EARLY, value=b"\xff\xfe", value_bytes=2, reason="not_utf8", error="at byte 0"
            ),
        ],
    )
    return settings


def test_list_shows_the_newest_first_with_what_show_takes(letters: Settings, run_headwater: RunHeadwater) -> None:
    found = json.loads(run_headwater("dead-letters", "list", "--json").stdout)
    assert [one["position"] for one in found] == ["raw-events/1/7", "raw-events/0/41", "raw-events/2/8"]
    assert [base64.b64decode(one["value"])[:7] for one in found] == [b"{xxxxxx", b"garbage", b"\xff\xfe"]
    assert [one["reason"] for one in found] == ["not_json", "not_json", "not_utf8"]
    (newest,) = json.loads(run_headwater("dead-letters", "list", "--limit", "1", "--json").stdout)
    assert newest["position"] == "raw-events/1/7"
    as_text = run_headwater("dead-letters", "list").stdout
    # A position is there to be copied.
    assert all(f" {one['position']} " in as_text for one in found)
    assert "The newest 1 of 3;" in run_headwater("dead-letters", "list", "--limit", "1").stdout


def test_a_reason_chooses_and_count_counts(letters: Settings, run_headwater: RunHeadwater) -> None:
    (found,) = json.loads(run_headwater("dead-letters", "list", "--reason", "not_utf8", "--json").stdout)
    assert (found["position"], found["error"]) == ("raw-events/2/8", "at byte 0")
    counts = json.loads(run_headwater("dead-letters", "list", "--count", "--json").stdout)
    assert counts == [{"reason": "not_json", "dead_letters": 2}, {"reason": "not_utf8", "dead_letters": 1}]


def test_show_prints_one_dead_letter_whole(letters: Settings, run_headwater: RunHeadwater) -> None:
    whole = json.loads(run_headwater("dead-letters", "show", "raw-events/1/7", "--json").stdout)
    assert base64.b64decode(whole["value"]) == b"{" + b"x" * 300
    assert (whole["_partition"], whole["_offset"], whole["reason"]) == (1, 7, "not_json")
    as_text = run_headwater("dead-letters", "show", "raw-events/2/8").stdout
    assert "\\xff\\xfe" in as_text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--reason", "ugly"], "Option '--reason' is 'ugly'; expected one of empty, too_large"),
        (["show", "raw-events/1"], "Argument POSITION is 'raw-events/1'; expected topic/partition/offset, for example raw-events/0/41."),
        (["show", "raw-events/0/99"], "No dead letter lies at 'raw-events/0/99'; 'headwater dead-letters list' shows"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_say_what_was_expected(
    letters: Settings, run_headwater: RunHeadwater, arguments: list[str], message: str
) -> None:
    done = run_headwater("dead-letters", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_what_would_steer_a_terminal_is_escaped_and_numbers_of_show_can_be_copied(settings: Settings, run_headwater: RunHeadwater) -> None:
    value = b"\x1b[2J\x07 a\tb\n [/bold] \xc2\x9b31m \x7f"
    write_lake(settings, "dead_letters", [dead_letter(_partition=0, _offset=249152, _appended_at=EARLY, value=value, value_bytes=1234)])
    whole = run_headwater("dead-letters", "show", "raw-events/0/249152").stdout
    listed = run_headwater("dead-letters", "list").stdout
    for printed in (whole, listed):
        assert not {char for char in printed if char < " " or "\x7f" <= char <= "\x9f"} - {"\n"}
    assert r"\x1b[2J\x07 a\tb\n [/bold] \x9b31m \x7f" in whole
    assert "249152" in whole
    assert "1234" in whole
    assert "," not in "".join(line for line in whole.splitlines() if line.startswith(("_offset", "value_bytes")))


@pytest.mark.parametrize("command", [("dead-letters", "list"), ("audit",)])
def test_a_store_that_is_away_is_one_line(run_headwater: RunHeadwater, command: tuple[str, ...]) -> None:
    keys = {"s3_access_key_id": "key", "s3_secret_access_key": "secret"}
    done = run_headwater(*command, s3_endpoint="http://127.0.0.1:9", **keys)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("headwater: The S3 store at 'http://127.0.0.1:9' (HEADWATER_S3_ENDPOINT) did not answer")


def test_a_lake_without_dead_letters_has_an_empty_list(settings: Settings, run_headwater: RunHeadwater) -> None:
    done = run_headwater("dead-letters", "list", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
