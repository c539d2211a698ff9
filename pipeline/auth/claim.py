"""What a request says of its AWS Signature Version 4: who signed it, when, and over which headers; nothing is proven here.

Rules that are AWS's (reference "Create a signed AWS API request"): the credential scope is <access key>/<date>/<region>/<service>/aws4_request;
x-amz-date, or Date, may be off by fifteen minutes; a presigned request carries all of it in its query and holds for X-Amz-Expires
seconds, a week at most.
"""

import datetime as dt
import email.utils
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from pipeline.auth.errors import DeniedError

ALGORITHM = "AWS4-HMAC-SHA256"
DATE = "%Y%m%dT%H%M%SZ"
EXPIRES_SECS_MAX = 7 * 24 * 3600
_CREDENTIAL = re.compile(r"([\w./+=@-]{1,128})/(\d{8})/([A-Za-z0-9-]{1,64})/([A-Za-z0-9.-]{1,64})/aws4_request", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")


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
    shown, now_shown = claim.date.strftime(DATE), now.strftime(DATE)
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
    credential = _CREDENTIAL.fullmatch(parts["Credential"])
    if credential is None:
        raise DeniedError(
            "IncompleteSignatureException",
            f"Credential is '{parts['Credential'][:160]}'; expected <access key id>/<yyyymmdd>/<region>/<service>/aws4_request.",
        )
    if not _SIGNATURE.fullmatch(parts["Signature"]):
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
            return dt.datetime.strptime(text, DATE).replace(tzinfo=dt.UTC)
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
