"""Attack S1: who may not send sends nothing. Every bad request is answered 4xx and leaves every topic of Kafka as it was."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.config import Settings
from tests.api_process import ApiProcess, make_app, make_write_key, serving
from tests.faults.inputs.bad_requests import ATTACKS, WINDOW_SECS, Caller, Request
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule


@pytest.fixture
def build_caller(settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule) -> Iterator[Callable[..., Caller]]:
    """A caller of an API of its own: build_caller("signatures") of one without that guard."""
    for app_id in ("shop", "news"):
        make_app(settings, app_id)
    with ExitStack() as stack:

        def build(guards_off: str = "") -> Caller:
            module = "tests.faults.rig.fault_api" if guards_off else "pipeline.commands.serve"
            api = stack.enter_context(serving(ApiProcess(settings, tmp_path, module, FAULT_GUARDS_OFF=guards_off)))
            return Caller(api, settings, schedule.chance)

        yield build


def _attack(caller: Caller, names: Sequence[str], rounds: int) -> tuple[dict[str, list[int]], int]:
    """The statuses by attack, and how many records came into Kafka."""
    requests = [(name, ATTACKS[name](caller)) for name in names for _ in range(rounds)]
    caller.chance.shuffle(requests)
    before = caller.ends()
    found: dict[str, list[int]] = {}
    # Side by side: for who is not known the keys are read anew, once a second at most.
    with ThreadPoolExecutor(16) as pool:
        for (name, _), status in zip(requests, pool.map(caller.send, (request for _, request in requests)), strict=True):
            found.setdefault(name, []).append(status)
    return found, sum(caller.ends().values()) - sum(before.values())


def test_attack_s1_every_bad_request_is_refused_and_leaves_kafka_as_it_was(
    build_caller: Callable[..., Caller], schedule: Schedule, proof: Proof
) -> None:
    caller = build_caller()
    found, came = _attack(caller, list(ATTACKS), schedule.choose(2, 20))
    assert {name: statuses for name, statuses in found.items() if any(not 400 <= each < 500 for each in statuses)} == {}
    assert came == 0
    # The same, unspoilt, is let in: what is refused is refused for what is wrong with it.
    before = sum(caller.ends().values())
    assert [caller.send(caller.sign()), caller.send(caller.sign(off_secs=30 - WINDOW_SECS))] == [202, 202]
    assert caller.send(Request(body=caller.body(), headers=[("authorization", f"Bearer {make_write_key(caller.settings)}")])) == 202
    assert sum(caller.ends().values()) > before
    proof.note(injections=sum(map(len, found.values())), kinds=len(found), records_in_kafka=came)


@pytest.mark.parametrize(
    ("guard", "names"),
    [
        ("signatures", ["signature, a digit", "signature by another secret", "body, another", "region named other than signed"]),
        ("signing_window", ["clock, just beyond the window", "clock, by hours"]),
        ("key_scopes", ["scope missing", "key of another app", "write key of another app"]),
    ],
)
def test_attack_s1_without_the_guard_they_are_let_in_control(
    build_caller: Callable[..., Caller], schedule: Schedule, proof: Proof, guard: str, names: list[str]
) -> None:
    found, came = _attack(build_caller(guard), names, 2)
    let_in = sum(status == 202 for statuses in found.values() for status in statuses)
    assert let_in == sum(map(len, found.values())), found
    proof.show(f"without {guard} {let_in} bad requests were let in, {came} records came into Kafka" if came else "")
