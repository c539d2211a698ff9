"""Guests: temporary keys for phones and browsers, as a Cognito identity pool gives them; nothing of them is stored.

An identity is `<region>:<uuid>`, as clients expect it, and the UUID tells which pool it is of. The session token is signed; the
secret of a guest's key is derived from it. Whoever asks gets one, as from an identity pool with guest access: it may send events of
one app for an hour, and how often an address may ask is bounded (pipeline/auth/rates.py).
"""

import base64
import binascii
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.auth.errors import UNKNOWN, DeniedError

LIFE_SECS = 3600
KEY_PREFIX = "ASIA"
IDENTITY = re.compile(r"[\w-]{1,55}:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class GuestCredentials:
    """What GetCredentialsForIdentity gives. `expires_at` in seconds since 1970."""

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: int


@dataclass(frozen=True)
class Guest:
    """Whom a session token stands for."""

    pool_id: str
    identity_id: str
    access_key_id: str
    secret: str = field(repr=False)
    expires_at: int


class GuestDesk:
    """Makes identities and keys of guests, and knows them again.

    Everything is derived from the first of `masters`, and known again by any of them, so that they can be rotated.
    """

    def __init__(self, masters: Sequence[bytes]) -> None:
        self._masters = masters

    def new_identity(self, pool_id: str) -> str:
        """An identity of a pool, which `find_pool` knows again."""
        region = pool_id.partition(":")[0]
        nonce = secrets.token_bytes(8)
        return f"{region}:{uuid.UUID(bytes=nonce + _tag(self._masters[0], pool_id, nonce))}"

    def find_pool(self, identity_id: str, pools: Mapping[str, str]) -> str | None:
        """The pool of an identity, among `pools` (pool id -> app id).

        Apps that moved here keep the identities that Cognito gave them, and those tell no pool: they belong to the one app of their region
        that lets guests in, or to the only one at all. None when it cannot be told.
        """
        if not IDENTITY.fullmatch(identity_id):
            return None
        found = uuid.UUID(identity_id.partition(":")[2]).bytes
        for pool_id in pools:
            if any(hmac.compare_digest(found[8:], _tag(master, pool_id, found[:8])) for master in self._masters):
                return pool_id
        region = identity_id.partition(":")[0]
        for candidates in ([pool for pool in pools if pool.partition(":")[0] == region], list(pools)):
            if len({pools[pool] for pool in candidates}) == 1:
                return candidates[0]
        return None

    def give_credentials(self, pool_id: str, identity_id: str, now_secs: float) -> GuestCredentials:
        """Keys of an hour for an identity."""
        access_key_id = KEY_PREFIX + base64.b32encode(secrets.token_bytes(10)).decode()
        expires_at = int(now_secs) + LIFE_SECS
        said = json.dumps([access_key_id, pool_id, identity_id, expires_at], separators=(",", ":")).encode()
        token = base64.b64encode(_digest(self._masters[0], b"token", said) + said).decode()
        return GuestCredentials(access_key_id, _secret(self._masters[0], token), token, expires_at)

    def read_token(self, token: str, now_secs: float) -> Guest:
        """Whom a session token stands for.

        Raises DeniedError: UnrecognizedClientException when it is not of ours, ExpiredTokenException when its hour is over.
        """
        try:
            raw = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        digest, said = raw[:32], raw[32:]
        master = next((one for one in self._masters if hmac.compare_digest(digest, _digest(one, b"token", said))), None)
        if not said or master is None:
            raise DeniedError(UNKNOWN, "The security token included in the request is invalid.")
        access_key_id, pool_id, identity_id, expires_at = json.loads(said)
        if now_secs >= expires_at:
            raise DeniedError("ExpiredTokenException", "The security token included in the request is expired.")
        return Guest(pool_id, identity_id, access_key_id, _secret(master, token), expires_at)


def _tag(master: bytes, pool_id: str, nonce: bytes) -> bytes:
    return _digest(master, b"identity", pool_id.encode() + b"/" + nonce)[:8]


def _secret(master: bytes, token: str) -> str:
    return base64.b64encode(_digest(master, b"secret", token.encode()))[:40].decode()


def _digest(master: bytes, purpose: bytes, said: bytes) -> bytes:
    return hmac.digest(master, purpose + b"\0" + said, "sha256")
