"""What is said when a store refuses: a clock that is wrong is named as such, not as a key that is refused."""

import botocore.exceptions
import pytest

from sinks.store import Store
from sinks.store_failure import explain_failure, is_clock_refused, is_for_a_person

STORE = Store("http://s3.example", "", "lake", "key", "secret")


def client_error(code: str, message: str) -> botocore.exceptions.ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return botocore.exceptions.ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    "error",
    [
        client_error("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        # HEAD has no body: the status is all that botocore has, and delta-rs quotes the answer.
        OSError(
            "Generic S3 error\n ↳ 403 Forbidden: <Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>"
        ),
    ],
)
def test_a_clock_that_is_refused_is_named_and_waited_for(error: Exception) -> None:
    said = explain_failure(STORE, error)
    assert "refuses the clock of this machine" in said
    assert "timedatectl" in said
    assert is_clock_refused(error)
    assert not is_for_a_person(error)


def test_a_key_that_is_refused_is_not_the_clock_and_is_for_a_person() -> None:
    error = client_error("SignatureDoesNotMatch", "The request signature we calculated does not match.")
    assert "refuses the key" in explain_failure(STORE, error)
    assert not is_clock_refused(error)
    assert is_for_a_person(error)
