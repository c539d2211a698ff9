"""Attack S1: how long a refusal takes tells a caller nothing of the signature."""

import hmac
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pipeline.auth import sigv4
from pipeline.auth.claim import SignedRequest, read_claim
from pipeline.auth.errors import DeniedError
from tests.faults.inputs.bad_requests import PATH
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule

ROUNDS = 1500


def _leaky_compare(one: bytes, other: bytes) -> bool:
    """As a loop compares: until the first digit that differs."""
    return all(left == right for left, right in zip(one, other, strict=True))


def _measure(compare: Callable[[bytes, bytes], bool], chance: random.Random) -> float:
    """Microseconds that a signature takes longer whose last digit alone is wrong than one whose first is: medians of interleaved samples."""
    unsent = AWSRequest("POST", "http://127.0.0.1:8080" + PATH, data=b"{}", headers={})
    SigV4Auth(Credentials("AKIAIOSFODNN7EXAMPLE", "s" * 40), "mobiletargeting", "us-east-1").add_auth(unsent)
    headers = [("host", "127.0.0.1:8080"), *((name.lower(), str(value)) for name, value in unsent.headers.items())]
    request = SignedRequest("POST", PATH, "", headers)
    claim = read_claim(request)
    assert claim is not None
    right = claim.signature
    wrong = {place: right[:place] + ("0" if right[place] != "0" else "1") + right[place + 1 :] for place in (0, 63)}
    claims = {place: replace(claim, signature=signature) for place, signature in wrong.items()}
    taken: dict[int, list[int]] = {0: [], 63: []}
    # The comparison alone: what stands beside it does not depend on the digits, and would hide them in its noise.
    with mock.patch.object(sigv4, "_sign", return_value=right), mock.patch.object(hmac, "compare_digest", compare):
        for _ in range(ROUNDS):
            for place in chance.sample([0, 63], 2):
                start = time.perf_counter_ns()
                try:
                    sigv4.check_signature(claims[place], request, "", b"{}")
                except DeniedError:
                    taken[place].append(time.perf_counter_ns() - start)
    return (statistics.median(taken[63]) - statistics.median(taken[0])) / 1000


def test_attack_s1_how_long_a_refusal_takes_tells_nothing_of_the_signature(schedule: Schedule, proof: Proof) -> None:
    leaks = _measure(_leaky_compare, schedule.chance)
    tells = _measure(hmac.compare_digest, schedule.chance)
    proof.note(injections=2 * ROUNDS, timing_difference_us=round(tells, 3), of_a_loop_us=round(leaks, 3))
    assert abs(tells) < leaks / 3


def test_attack_s1_a_comparison_digit_by_digit_is_measured_control(schedule: Schedule, proof: Proof) -> None:
    leaks = _measure(_leaky_compare, schedule.chance)
    proof.show(
        f"a comparison that stops at the first wrong digit tells {leaks:.1f} us between the first and the last" if leaks > 0.3 else ""
    )
