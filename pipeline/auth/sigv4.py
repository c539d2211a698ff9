"""AWS Signature Version 4, checked: the canonical request is botocore's own, made from the headers that the caller signed.

Rules that are AWS's: the path is encoded once more than on the wire; a signed x-amz-content-sha256 counts as the body's hash, and then must be it.

One thing is more than AWS takes: a client that knows AWS's address only (Amplify) and whose requests are led here by a rewritten `fetch`
signs for AWS's host, and a browser sends ours. Guests' keys are ours alone, so that nothing else could be meant by such a signature; a
key pair that AWS knows too is held to the host that it came to.
"""

import dataclasses
import functools
import hashlib
import hmac
import re
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders

from pipeline.auth.claim import DATE, Claim, SignedRequest
from pipeline.auth.errors import DeniedError

# What services are called in AWS's host names, where that is not the name that is signed.
_HOST_NAMES = {"mobiletargeting": "pinpoint"}


def check_signature(claim: Claim, request: SignedRequest, secret: str, body: bytes) -> None:
    """See that the request was signed with `secret`.

    Raises DeniedError (InvalidSignatureException) when it was not; the comparison takes the same time for every signature.
    """
    body_hash = hashlib.sha256(body).hexdigest()
    declared = request.header("x-amz-content-sha256")
    if declared is not None and declared != body_hash:
        what = "a body that is signed as a whole" if not _is_hash(declared) else "the hash of the body that came"
        raise DeniedError("InvalidSignatureException", f"Header 'x-amz-content-sha256' is '{declared[:80]}'; expected {what}.")
    if request.header("x-amz-target") is not None and "x-amz-target" not in claim.signed_headers:
        raise DeniedError("InvalidSignatureException", "Header 'x-amz-target' is not signed; expected it among SignedHeaders.")
    meant = [request]
    if claim.session_token is not None:
        meant.append(_with_host(request, f"{_HOST_NAMES.get(claim.service, claim.service)}.{claim.region}.amazonaws.com"))
    if not any(hmac.compare_digest(_sign(claim, each, secret, body_hash).encode(), claim.signature.encode()) for each in meant):
        raise DeniedError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check the secret access key and how it signs.",
        )


def _with_host(request: SignedRequest, host: str) -> SignedRequest:
    return dataclasses.replace(request, headers=[(name, host if name == "host" else value) for name, value in request.headers])


def _sign(claim: Claim, request: SignedRequest, secret: str, body_hash: str) -> str:
    signer = _Signer(claim, body_hash)
    query = request.query
    if claim.is_presigned:
        query = "&".join(part for part in query.split("&") if part.partition("=")[0] != "X-Amz-Signature")
    headers = HTTPHeaders()
    for name, value in request.headers:
        headers.add_header(name, value)
    # The host does not count: only the path and the query of the address do, and host stands among the headers.
    canonical = AWSRequest(method=request.method, url=f"http://host{request.path}{'?' if query else ''}{query}", headers=headers)
    canonical.context["timestamp"] = claim.date.strftime(DATE)
    text = signer.string_to_sign(canonical, signer.canonical_request(canonical))
    return hmac.new(_signing_key(secret, claim.day, claim.region, claim.service), text.encode(), hashlib.sha256).hexdigest()


class _Signer(SigV4Auth):  # type: ignore[misc]
    """botocore's signer over the headers that the caller named, whatever botocore itself would have signed."""

    def __init__(self, claim: Claim, body_hash: str) -> None:
        super().__init__(None, claim.service, claim.region)
        self._signed, self._body_hash = claim.signed_headers, body_hash

    def headers_to_sign(self, request: Any) -> Any:
        chosen = HTTPHeaders()
        for name, value in request.headers.items():
            if name in self._signed:
                chosen.add_header(name, value)
        return chosen

    def payload(self, request: Any) -> str:
        return self._body_hash


@functools.lru_cache(maxsize=1024)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
