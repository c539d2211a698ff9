"""AWS Signature Version 4, checked: the canonical request is botocore's own, made from the headers that the caller signed.

Rules that are AWS's (Signature Version 4 for requests, reference "Create a signed AWS API request"): the credential scope is
<access key>/<date>/<region>/<service>/aws4_request; the path is encoded once more than on the wire; a signed x-amz-content-sha256
counts as the body's hash, and then must be it; x-amz-date, or Date, may be off by fifteen minutes; a presigned request carries all of
it in its query and holds for X-Amz-Expires seconds, a week at most.

One thing is more than AWS takes: a client that knows AWS's address only (Amplify) and whose requests are led here by a rewritten `fetch`
signs for AWS's host, and a browser sends ours. Guests' keys are ours alone, so that nothing else could be meant by such a signature; a
key pair that AWS knows too is held to the host that it came to.
"""

import dataclasses
import datetime as dt
import email.utils
import functools
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders

from pipeline.auth.errors import DeniedError

# What services are called in AWS's host names, where that is not the name that is signed.
_HOST_NAMES = {"mobiletargeting": "pinpoint"}
ALGORITHM = "AWS4-HMAC-SHA256"
EXPIRES_SECS_MAX = 7 * 24 * 3600
_DATE = "%Y%m%dT%H%M%SZ"
_CREDENTIAL = re.compile(r"^([\w./+=@-]{1,128})/(\d{8})/([A-Za-z0-9-]{1,64})/([A-Za-z0-9.-]{1,64})/aws4_request$")
_SIGNATURE = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class SignedRequest:
    """A request as it came over the wire: `path` still percent-encoded, header names in lower case, in order."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The value of a header that stands once; None where it is missing.

        Raises DeniedError when it stands more than once.
        """
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise DeniedError("IncompleteSignatureException", f"Header '{name}' is there {len(values)} times; expected it once.")
        return values[0] if values else None


@dataclass(frozen=True)
class Claim:
    """Who the caller says to be, not proven yet. `date` is the sender's clock when it signed, UTC."""

    access_key_id: str
    day: str
    region: str
    service: str
    date: dt.datetime
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    session_token: str | None = field(repr=False)
    is_presigned: bool = False
    expires_secs: int | None = None


def read_claim(request: SignedRequest) -> Claim | None:
    """What the request says of its signature; None when it carries none.

    Raises DeniedError (IncompleteSignatureException) that names the part that is missing or wrong.
    """
    authorization = request.header("authorization")
    if authorization is not None and authorization.startswith(ALGORITHM):
        return _from_header(request, authorization.removeprefix(ALGORITHM))
    query = _parameters(request.query)
    return _from_query(query) if "X-Amz-Signature" in query or "X-Amz-Algorithm" in query else None


def check_time(claim: Claim, now: dt.datetime, window_secs: float) -> None:
    """See that the claim is of now, within the window.

    Raises DeniedError (InvalidSignatureException; botocore and others read "Signature expired" and mend their clock by our Date).
    """
    behind = (now - claim.date).total_seconds()
    shown, now_shown = claim.date.strftime(_DATE), now.strftime(_DATE)
    if claim.is_presigned and claim.expires_secs is not None:
        if behind > claim.expires_secs or behind < -window_secs:
            raise DeniedError(
                "InvalidSignatureException", f"Signature expired: {shown} and {claim.expires_secs} s are not about {now_shown}."
            )
    elif behind > window_secs:
        raise DeniedError(
            "InvalidSignatureException", f"Signature expired: {shown} is earlier than {now_shown} less {window_secs:g} s; set the clock."
        )
    elif behind < -window_secs:
        raise DeniedError(
            "InvalidSignatureException",
            f"Signature not yet current: {shown} is later than {now_shown} and {window_secs:g} s; set the clock.",
        )


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
    canonical.context["timestamp"] = claim.date.strftime(_DATE)
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


def _from_header(request: SignedRequest, text: str) -> Claim:
    parts = dict(part.strip().partition("=")[::2] for part in text.split(","))
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            raise DeniedError(
                "IncompleteSignatureException", f"Header 'Authorization' lacks '{name}'; expected Credential, SignedHeaders, Signature."
            )
    date = request.header("x-amz-date") or request.header("date")
    token = request.header("x-amz-security-token")
    return _build(parts, date, token, "Header 'x-amz-date'")


def _from_query(query: Mapping[str, str]) -> Claim:
    for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"):
        if not query.get(name):
            raise DeniedError("IncompleteSignatureException", f"Parameter '{name}' is missing; expected all of a presigned request's.")
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise DeniedError(
            "IncompleteSignatureException", f"Parameter 'X-Amz-Algorithm' is '{query['X-Amz-Algorithm'][:40]}'; expected {ALGORITHM}."
        )
    expires = query["X-Amz-Expires"]
    if not re.fullmatch(r"\d{1,6}", expires) or not 1 <= int(expires) <= EXPIRES_SECS_MAX:
        raise DeniedError(
            "IncompleteSignatureException", f"Parameter 'X-Amz-Expires' is '{expires[:20]}'; expected seconds from 1 to {EXPIRES_SECS_MAX}."
        )
    parts = {name: query[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature")}
    return _build(parts, query["X-Amz-Date"], query.get("X-Amz-Security-Token"), "Parameter 'X-Amz-Date'", int(expires))


def _build(parts: Mapping[str, str], date: str | None, token: str | None, where: str, expires_secs: int | None = None) -> Claim:
    credential = _CREDENTIAL.match(parts["Credential"])
    if credential is None:
        raise DeniedError(
            "IncompleteSignatureException",
            f"Credential is '{parts['Credential'][:160]}'; expected <access key id>/<yyyymmdd>/<region>/<service>/aws4_request.",
        )
    if not _SIGNATURE.match(parts["Signature"]):
        raise DeniedError("IncompleteSignatureException", "Signature is no 64 hexadecimal digits in lower case.")
    signed = tuple(name.strip().lower() for name in parts["SignedHeaders"].split(";"))
    if "host" not in signed:
        raise DeniedError("IncompleteSignatureException", f"SignedHeaders is '{parts['SignedHeaders'][:200]}'; expected 'host' among them.")
    moment = _parse_date(date)
    if moment is None:
        raise DeniedError("IncompleteSignatureException", f"{where} is '{(date or '')[:40]}'; expected a time such as 20260101T000000Z.")
    key, day, region, service = credential.groups()
    if moment.strftime("%Y%m%d") != day:
        raise DeniedError(
            "InvalidSignatureException", f"Credential is of day {day}, and the request of {moment:%Y%m%d}; expected the same day."
        )
    return Claim(key, day, region, service, moment, signed, parts["Signature"], token, expires_secs is not None, expires_secs)


def _parse_date(text: str | None) -> dt.datetime | None:
    """x-amz-date's form, or that of the header Date."""
    if not text:
        return None
    if re.fullmatch(r"\d{8}T\d{6}Z", text):
        try:
            return dt.datetime.strptime(text, _DATE).replace(tzinfo=dt.UTC)
        except ValueError:
            return None
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(dt.UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _parameters(query: str) -> dict[str, str]:
    """The query's parameters, the first of each name."""
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        found.setdefault(unquote(name), unquote(value))
    return found


def _is_hash(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None
