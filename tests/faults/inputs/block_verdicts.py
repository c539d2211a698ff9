"""What a worker's validation says of a message between two events, each message in a process of its own, which may die of it: `python -m
tests.faults.inputs.block_verdicts GUARDS_OFF` reads a JSON list of base64 from standard input and answers on standard output."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence

import agents.event_steps
from agents.validate import Validated
from tests.faults import guards
from tests.faults.inputs.parser_paths import RULES, verdicts_of
from tests.validate_inputs import build_records, event

# The three verdicts; or what the validation ended with instead: "signal 11", or an error's name.
Block = list[str] | str


def ask_in_processes(values: Sequence[bytes], guards_off: str = "") -> list[Block]:
    """Of each value the verdicts on an event, the value and another event, validated together as a worker does."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults.inputs.block_verdicts", guards_off],
        input=json.dumps([base64.b64encode(value).decode() for value in values]),
        capture_output=True,
        text=True,
        check=True,
        timeout=280,
    )
    blocks: list[Block] = json.loads(said.stdout)
    return blocks


def _ask(value: bytes) -> list[str]:
    records = build_records([event(), value, event()])
    # By the name by which the steps of a worker call it, since that is what a guard is taken from.
    validated: Validated = vars(agents.event_steps)["validate_batch"](records, RULES)
    return verdicts_of(validated, records.num_rows)


def _ask_apart(value: bytes) -> Block:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            block: Block = _ask(value)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what is asked for)
            block = type(error).__name__
        os.write(write_end, json.dumps(block).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    said: Block = json.loads(text)
    return said


def main() -> None:
    guards.remove(sys.argv[1])
    json.dump([_ask_apart(base64.b64decode(value)) for value in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
