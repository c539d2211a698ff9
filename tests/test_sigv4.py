"""Signature Version 4: what botocore signs is let in, in every form; anything changed since, or said wrong, is not."""

import datetime as dt
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.auth.claim import Claim, SignedRequest, check_time, read_claim
from pipeline.auth.errors import DeniedError
from pipeline.auth.sigv4 import check_signature

pytestmark = pytest.mark.attack("S1")

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
HOST = "127.0.0.1:8080"


def sign(
    method: str = "POST",
    path: str = "/v1/apps/shop/events",
    query: str = "",
    body: bytes = b'{"BatchItem":{}}',
    headers: dict[str, str] | None = None,
    is_presigned: bool = False,
    secret: str = SECRET,
    **given: Any,
) -> tuple[SignedRequest, bytes]:
    """A request as botocore signs it at this moment, as it stands on the wire."""
    signer = (SigV4QueryAuth if is_presigned else SigV4Auth)(
        Credentials(KEY, secret, given.get("token")), given.get("service", "mobiletargeting"), given.get("region", "us-east-1")
    )
    url = f"http://{HOST}{path}{'?' if query else ''}{query}"
    request = AWSRequest(method, url, data=b"" if is_presigned else body, headers={"Content-Type": "application/json"} | (headers or {}))
    signer.add_auth(request)
    return on_wire(request), b"" if is_presigned else body


def on_wire(request: AWSRequest) -> SignedRequest:
    parts = urlsplit(request.url)
    headers = [(name.lower(), str(value)) for name, value in request.headers.items()]
    return SignedRequest(request.method, parts.path, parts.query, [*headers, ("host", parts.netloc)])


def claim_of(request: SignedRequest) -> Claim:
    claim = read_claim(request)
    assert claim is not None
    return claim


def is_let_in(request: SignedRequest, body: bytes, secret: str = SECRET) -> bool:
    try:
        claim = claim_of(request)
        check_time(claim, dt.datetime.now(dt.UTC), 900)
        check_signature(claim, request, secret, body)
    except DeniedError:
        return False
    return True


def changed(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    """The request with a header changed, added, or with None taken away."""
    others = [(key, old) for key, old in request.headers if key != name]
    return SignedRequest(request.method, request.path, request.query, others if value is None else [*others, (name, value)])


SEGMENTS = st.text(st.sampled_from("aZ09-._~ /%+=&é😀:@!$'()*,;"), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    segment=SEGMENTS,
    query=st.dictionaries(st.text(st.sampled_from("abz-_. é"), min_size=1, max_size=4), SEGMENTS, max_size=3),
    body=st.binary(max_size=60),
    spaced=st.text(st.sampled_from("ab ,;="), min_size=1, max_size=20).map(str.strip).filter(bool),
    is_presigned=st.booleans(),
    token=st.none() | st.just("tok/en+=="),
)
def test_what_botocore_signs_is_let_in_and_a_changed_byte_is_not(
    segment: str, query: dict[str, str], body: bytes, spaced: str, is_presigned: bool, token: str | None
) -> None:
    from urllib.parse import quote, urlencode

    path = f"/v1/apps/shop/endpoints/{quote(segment, safe='')}"
    given_query = urlencode(query, quote_via=quote, safe="-_.~")
    request, sent = sign("PUT", path, given_query, body, {"X-Odd": f"  {spaced}  {spaced} "}, is_presigned, token=token)
    assert is_let_in(request, sent)
    assert not is_let_in(request, sent + b"x")
    assert not is_let_in(request, sent, SECRET[:-1] + "x")
    assert not is_let_in(SignedRequest("POST", request.path, request.query, request.headers), sent)
    assert not is_let_in(SignedRequest(request.method, request.path + "x", request.query, request.headers), sent)
    assert not is_let_in(SignedRequest(request.method, request.path, request.query + "&x=1", request.headers), sent)
    assert not is_let_in(changed(request, "x-odd", "other"), sent)


def test_with_the_comparison_off_a_wrong_secret_is_let_in_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.auth.sigv4.hmac.compare_digest", lambda *_: True)
    request, body = sign()
    assert is_let_in(request, body, "another secret")


@pytest.mark.parametrize("service", ["mobiletargeting", "firehose", "kinesis"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "local"])
def test_every_region_and_service_is_part_of_the_signature(service: str, region: str) -> None:
    request, body = sign(service=service, region=region)
    assert is_let_in(request, body)
    authorization = request.header("authorization") or ""
    for part, other in ((service, "s3"), (region, "us-west-2")):
        assert not is_let_in(changed(request, "authorization", authorization.replace(f"/{part}/", f"/{other}/")), body)


@pytest.mark.parametrize(("off_secs", "is_in"), [(899, True), (900, True), (901, False), (-899, True), (-900, True), (-901, False)])
def test_clock_may_be_off_by_the_window_and_no_more(off_secs: int, is_in: bool) -> None:
    claim = _claim(NOW)
    if is_in:
        check_time(claim, NOW + dt.timedelta(seconds=off_secs), 900)
    else:
        with pytest.raises(DeniedError) as denied:
            check_time(claim, NOW + dt.timedelta(seconds=off_secs), 900)
        assert denied.value.kind == "InvalidSignatureException"


@pytest.mark.parametrize(("off_secs", "is_in"), [(60, True), (61, False), (-900, True), (-901, False)])
def test_presigned_request_holds_as_long_as_it_says(off_secs: int, is_in: bool) -> None:
    claim = _claim(NOW, is_presigned=True, expires_secs=60)
    if is_in:
        check_time(claim, NOW + dt.timedelta(seconds=off_secs), 900)
    else:
        with pytest.raises(DeniedError, match="expired"):
            check_time(claim, NOW + dt.timedelta(seconds=off_secs), 900)


def _claim(date: dt.datetime, **given: Any) -> Claim:
    return Claim(KEY, date.strftime("%Y%m%d"), "us-east-1", "mobiletargeting", date, ("host",), "0" * 64, None, **given)


def test_declared_hash_of_the_body_must_be_that_of_the_body() -> None:
    import hashlib

    body = b'{"BatchItem":{}}'
    digest = hashlib.sha256(body).hexdigest()
    request, _ = sign(body=body, headers={"X-Amz-Content-SHA256": digest})
    assert is_let_in(request, body)
    assert not is_let_in(request, body + b" ")
    for other in ("UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64):
        request, _ = sign(body=body, headers={"X-Amz-Content-SHA256": other})
        assert not is_let_in(request, body), other


def test_headers_that_are_not_signed_may_change_and_the_target_must_be_signed() -> None:
    request, body = sign()
    assert is_let_in(changed(request, "user-agent", "another"), body)
    assert is_let_in(changed(request, "x-forwarded-for", "192.0.2.1"), body)
    assert not is_let_in(changed(request, "x-amz-target", "Kinesis_20131202.PutRecords"), body)
    request, body = sign(headers={"X-Amz-Target": "Kinesis_20131202.PutRecords"}, service="kinesis")
    assert is_let_in(request, body)


# How a header or a query says its signature wrong, and what the answer names.
AUTHORIZATIONS = {
    "no parts": ("AWS4-HMAC-SHA256 ", "Credential"),
    "no signature": (f"AWS4-HMAC-SHA256 Credential={KEY}/20261126/us-east-1/mobiletargeting/aws4_request, SignedHeaders=host", "Signature"),
    "short credential": (f"AWS4-HMAC-SHA256 Credential={KEY}/20261126, SignedHeaders=host, Signature={'0' * 64}", "Credential is"),
    "no host": (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20261126/us-east-1/mobiletargeting/aws4_request, SignedHeaders=x-amz-date, Signature={'0' * 64}",
        "'host'",
    ),
    "capital signature": (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20261126/us-east-1/mobiletargeting/aws4_request, SignedHeaders=host, Signature={'A' * 64}",
        "64 hexadecimal",
    ),
    "another day": (
        f"AWS4-HMAC-SHA256 Credential={KEY}/20261125/us-east-1/mobiletargeting/aws4_request, SignedHeaders=host, Signature={'0' * 64}",
        "20261125",
    ),
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_signature_that_is_said_wrong_is_refused_by_name(name: str) -> None:
    authorization, said = AUTHORIZATIONS[name]
    request = SignedRequest("POST", "/", "", [("host", HOST), ("x-amz-date", "20261126T120000Z"), ("authorization", authorization)])
    with pytest.raises(DeniedError, match=said):
        read_claim(request)


@pytest.mark.parametrize("date", [None, "", "yesterday", "20261399T000000Z", "2026-11-26T12:00:00Z"])
def test_date_that_is_none_is_refused(date: str | None) -> None:
    request, _ = sign()
    with pytest.raises(DeniedError, match="x-amz-date"):
        read_claim(changed(request, "x-amz-date", date))


def test_header_that_stands_twice_is_refused() -> None:
    request, _ = sign()
    twice = SignedRequest(request.method, request.path, request.query, [*request.headers, ("x-amz-date", "20261126T120000Z")])
    with pytest.raises(DeniedError, match="2 times"):
        read_claim(twice)


@pytest.mark.parametrize("name", ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"])
def test_presigned_request_that_lacks_a_part_is_refused_by_name(name: str) -> None:
    request, _ = sign(is_presigned=True)
    query = "&".join(part for part in request.query.split("&") if not part.startswith(f"{name}="))
    with pytest.raises(DeniedError, match=name):
        read_claim(SignedRequest(request.method, request.path, query, request.headers))


@pytest.mark.parametrize("secs", ["0", "604801", "-1", "x"])
def test_presigned_request_that_holds_for_too_long_is_refused(secs: str) -> None:
    request, _ = sign(is_presigned=True)
    query = request.query.replace("X-Amz-Expires=3600", f"X-Amz-Expires={secs}")
    with pytest.raises(DeniedError, match="X-Amz-Expires"):
        read_claim(SignedRequest(request.method, request.path, query, request.headers))


def test_request_without_a_signature_claims_nothing() -> None:
    assert read_claim(SignedRequest("GET", "/", "a=1", [("host", HOST)])) is None
    assert read_claim(SignedRequest("GET", "/", "", [("authorization", "Basic eA==")])) is None


def test_every_comparison_with_a_secrets_digest_takes_the_same_time_for_every_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """hmac.compare_digest compares the signature, and nothing else does: the control above turns it off and everything is let in."""
    compared: list[tuple[Any, Any]] = []

    def compare(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return left == right

    monkeypatch.setattr("pipeline.auth.sigv4.hmac.compare_digest", compare)
    request, body = sign()
    assert is_let_in(request, body)
    assert compared == [(claim_of(request).signature.encode(),) * 2]
