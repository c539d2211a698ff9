"""Log lines of a worker: one line a message, one JSON object on request, and no flood when Kafka is away."""

import json
import logging

import pytest

from pipeline.logs import JsonFormatter, Sparing, TextFormatter

# As delta-rs words it.
COLOURED = "Generic S3 error\n  \x1b[31m↳\x1b[0m Error performing GET\n    \x1b[31m↳\x1b[0m Connection refused"
PLAIN = "Generic S3 error Error performing GET Connection refused"


def line(message: str, *values: object, name: str = "pipeline.runner", level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, message, values, None)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_an_error_of_many_coloured_lines_is_one_plain_line(formatter: logging.Formatter) -> None:
    written = formatter.format(line("Waiting %.1f s after %s", 0.2, COLOURED))
    assert "\n" not in written
    assert f"Waiting 0.2 s after {PLAIN}" in written


def test_a_trace_stays_whole_in_json() -> None:
    try:
        raise KeyError("what is missing")
    except KeyError as error:
        record = line("Failed")
        record.exc_info = (KeyError, error, error.__traceback__)
    found = json.loads(JsonFormatter().format(record))
    assert (found["level"], found["logger"], found["message"]) == ("warning", "pipeline.runner", "Failed")
    assert found["error"].splitlines()[0] == "Traceback (most recent call last):"
    assert found["at"].endswith("Z")


def test_what_a_library_repeats_is_written_once_in_ten_seconds_and_what_we_say_always() -> None:
    now = [0.0]
    sparing = Sparing(secs=10, clock=lambda: now[0])
    library = [line("Unable to connect to node %d", node, name="aiokafka.conn") for node in range(3)]
    assert [sparing.filter(one) for one in library] == [True, False, False]
    assert sparing.filter(line("Unable to connect to node %d", 1, name="aiokafka.conn", level=logging.ERROR))
    assert sparing.filter(line("Another thing", name="aiokafka.conn"))
    assert all(sparing.filter(line("Waiting")) for _ in range(3))
    now[0] = 10
    assert sparing.filter(library[0])
