"""The gate: who a request comes from, proven by a signature, a guest's token or a write key, and what it may do."""

import asyncio
import base64
import datetime as dt
import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pipeline.auth.claim import Claim, SignedRequest, check_time
from pipeline.auth.errors import UNKNOWN, DeniedError
from pipeline.auth.guests import GuestDesk
from pipeline.auth.sigv4 import check_signature
from pipeline.definitions.key import Scope
from pipeline.definitions.key_ring import KeyRing

log = logging.getLogger(__name__)

# The services that clients sign for, by the door that they come to.
REST_SERVICES = frozenset({"mobiletargeting"})
EVERYTHING = frozenset(Scope)
# Time between two readings of the keys, for callers that nobody knows.
FRESH_SECS = 1.0


@dataclass(frozen=True)
class Caller:
    """Who called. `app_id` None: every app. `events_per_sec` None: no bound. `sent_at` is the caller's clock when it signed."""

    name: str
    kind: Literal["access", "write", "guest", "anybody"]
    scopes: frozenset[Scope]
    app_id: str | None = None
    events_per_sec: float | None = None
    sent_at: dt.datetime | None = None

    def require(self, scope: Scope, app_id: str | None = None) -> None:
        """See that the caller may do this, to this app; None is what concerns no single app.

        Raises DeniedError (AccessDeniedException).
        """
        if scope not in self.scopes:
            raise DeniedError(
                "AccessDeniedException", f"Key '{self.name}' may not '{scope}'; it may {', '.join(sorted(self.scopes)) or 'nothing'}."
            )
        if self.app_id is not None and self.app_id != app_id:
            wanted = f"app '{app_id}'" if app_id is not None else "all apps"
            raise DeniedError("AccessDeniedException", f"Key '{self.name}' is of app '{self.app_id}', not of {wanted}.")


@dataclass(frozen=True)
class Presumed:
    """A caller whose signature can be checked once the body has come; one with a write key has been checked already."""

    caller: Caller
    claim: Claim | None = None
    secret: str = field(default="", repr=False)


class Gate:
    """Lets callers in by what `ring` holds. `clock` is the present moment, UTC; with `is_open` everybody may do everything."""

    def __init__(
        self, load_ring: Callable[[], KeyRing], desk: GuestDesk, window_secs: float, clock: Callable[[], dt.datetime], is_open: bool
    ) -> None:
        self._load_ring, self.desk, self._window_secs, self._clock, self.is_open = load_ring, desk, window_secs, clock, is_open
        self._asking, self._reading = asyncio.Lock(), threading.Lock()
        # When the keys in force were read, and when that was tried for the last time.
        self._read_at = self._tried_at = time.monotonic()
        self.ring = load_ring()

    async def know_since(self, asked_at: float) -> None:
        """Come back with keys that were read after `asked_at` (of the monotonic clock). However many ask, they are read once a second at most."""
        async with self._asking:
            if self._tried_at > asked_at:
                return
            await asyncio.sleep(max(0.0, self._tried_at + FRESH_SECS - time.monotonic()))
            await asyncio.to_thread(self.refresh)

    @property
    def age_secs(self) -> float:
        """How long ago the keys in force were read."""
        return time.monotonic() - self._read_at

    def refresh(self) -> None:
        """Read the keys anew; when that fails the ones known stay in force."""
        with self._reading:
            began = time.monotonic()
            self._tried_at = began
            try:
                self.ring = self._load_ring()
                self._read_at = began
            except Exception as error:  # noqa: BLE001 - whatever a database driver raises, requests go on
                log.warning("The keys could not be read anew; those known stay in force: %s", error)

    def presume(self, request: SignedRequest, claim: Claim | None, services: frozenset[str] = REST_SERVICES) -> Presumed:
        """Who the request says to come from, before its body is read; `claim` is what `read_claim` found in it.

        Raises DeniedError for an unknown key, a wrong clock, a wrong service or no key at all.
        """
        if claim is not None and not self.is_open:
            return self._presume_signer(claim, services)
        write_key = read_write_key(request)
        if write_key is not None and not self.is_open:
            return Presumed(self.find_writer(write_key))
        if self.is_open:
            return Presumed(Caller("anybody", "anybody", EVERYTHING, sent_at=_sender_clock(claim) if claim else None))
        raise DeniedError(
            "MissingAuthenticationTokenException", "The request is not signed; expected AWS Signature Version 4, or a write key."
        )

    def prove(self, presumed: Presumed, request: SignedRequest, body: bytes) -> Caller:
        """The caller, once its signature over this body is checked.

        Raises DeniedError when it does not match.
        """
        if presumed.claim is not None:
            check_signature(presumed.claim, request, presumed.secret, body)
        return presumed.caller

    def find_writer(self, write_key: str) -> Caller:
        """Who a write key belongs to. Looked up by its hash: how long it takes tells nothing of any key.

        Raises DeniedError when it is none.
        """
        if self.is_open:
            return Caller("anybody", "anybody", EVERYTHING)
        key = self.ring.write.get(hashlib.sha256(write_key.encode("utf-8", "surrogatepass")).hexdigest())
        if key is None:
            raise DeniedError(UNKNOWN, "The write key included in the request is invalid.")
        return Caller(key.key_id, "write", key.scopes, key.app_id, key.events_per_sec)

    def _presume_signer(self, claim: Claim, services: frozenset[str]) -> Presumed:
        now = self._clock()
        if claim.service not in services:
            raise DeniedError(
                "InvalidSignatureException",
                f"Credential should be scoped to correct service: '{claim.service}' was signed for, expected {' or '.join(sorted(services))}.",
            )
        check_time(claim, now, self._window_secs)
        if claim.session_token is not None:
            guest = self.desk.read_token(claim.session_token, now.timestamp())
            if guest.access_key_id != claim.access_key_id:
                raise DeniedError(UNKNOWN, "The security token included in the request is of another key.")
            app_id = self.ring.guest_pools.get(guest.pool_id)
            if app_id is None:
                raise DeniedError(UNKNOWN, f"Guest pool '{guest.pool_id}' lets nobody in.")
            caller = Caller(guest.identity_id, "guest", frozenset({Scope.INGEST}), app_id, sent_at=_sender_clock(claim))
            return Presumed(caller, claim, guest.secret)
        found = self.ring.access.get(claim.access_key_id)
        if found is None:
            raise DeniedError(UNKNOWN, "The security token included in the request is invalid.")
        key, secret = found
        return Presumed(Caller(key.key_id, "access", key.scopes, key.app_id, key.events_per_sec, _sender_clock(claim)), claim, secret)


def _sender_clock(claim: Claim) -> dt.datetime | None:
    """The sender's clock at the moment of sending; a presigned request was signed some time before it was sent."""
    return None if claim.is_presigned else claim.date


def read_write_key(request: SignedRequest) -> str | None:
    """The write key of a request: as user of basic authorization, as bearer, or in the header that Firehose sends; None without one."""
    authorization = request.header("authorization") or ""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
        except ValueError:
            raise DeniedError(
                "IncompleteSignatureException", "Header 'authorization' is no basic authorization; expected base64 of 'key:'."
            ) from None
    if scheme.lower() == "bearer":
        return rest.strip()
    return request.header("x-amz-firehose-access-key") or None
