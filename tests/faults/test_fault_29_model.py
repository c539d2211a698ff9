"""Row 29: the protocol as a deterministic simulation with the real code of its decisions (model/), over a million interleavings."""

import os
from array import array

import pytest

from tests.faults.model.explore import explore, explore_widely, shorten, tell
from tests.faults.model.mutations import MUTATIONS, Mutation
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule

_CAUGHT_WITHIN = 300_000


@pytest.mark.timeout(3600)
def test_fault_29_no_interleaving_loses_doubles_or_misplaces_a_record(schedule: Schedule, proof: Proof) -> None:
    """In the full run more than the bar's million, as some are drawn twice."""
    seed, hashes, step_count = schedule.chance.randrange(10**6), array("q"), 0
    for portion in explore_widely(seed, schedule.choose(10_000, 1_010_000), os.cpu_count() or 1):
        assert portion.violation is None, f"seed {seed}\n{tell(shorten(portion.violation))}"
        hashes.extend(portion.hashes)
        step_count += portion.step_count
    distinct = len(set(hashes))
    proof.note(injections=distinct, interleavings=distinct, steps=step_count, violations=0)
    assert distinct >= schedule.choose(9_500, 1_000_000)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "mutation",
    [pytest.param(one, id=one.name, marks=[pytest.mark.full] if one.is_rare else []) for one in MUTATIONS],
)
def test_fault_29_a_check_that_is_removed_is_caught_control(mutation: Mutation, schedule: Schedule, proof: Proof) -> None:
    with mutation.applied():
        found = explore(schedule.chance.randrange(10**6), range(_CAUGHT_WITHIN))
    proof.note(interleavings=len(found.hashes), steps=found.step_count)
    proof.show(f"{mutation.name}: {found.violation.what}" if found.violation else "")


def test_a_mutation_whose_text_is_not_there_fails_by_its_name() -> None:
    with (
        pytest.raises(AssertionError, match=r"mutation 'a check of before': .* agents\.land 0 times"),
        Mutation("a check of before", "?", "").applied(),
    ):
        pass


def test_fault_29_a_violation_replays_from_its_draws_and_is_made_short(schedule: Schedule, proof: Proof) -> None:
    with MUTATIONS[0].applied():
        found = explore(schedule.chance.randrange(10**6), range(_CAUGHT_WITHIN))
        assert found.violation is not None
        short = shorten(found.violation)
        said = tell(short)
    assert short.kind == found.violation.kind
    assert len(short.made) <= len(found.violation.made)
    assert said.endswith(f"=> {short.what}")
    proof.note(injections=len(found.hashes), draws=len(found.violation.made), draws_when_short=len(short.made))
