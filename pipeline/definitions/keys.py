"""Keys that let clients in: access keys sign requests as AWS's do, a write key is a text that is sent along."""

import datetime as dt
import hashlib
import math
import secrets
import string
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from pipeline.definitions.checks import check_access_key_id, check_text, shown
from pipeline.definitions.key import Key, Scope, read_key
from pipeline.definitions.key_ring import KeyRing, load_key_ring, open_secret
from pipeline.definitions.tables import apps, keys
from pipeline.definitions.vault import Vault
from schemas.errors import UsageError

__all__ = [
    "Key",
    "KeyRing",
    "Scope",
    "add_access_key",
    "create_access_key",
    "create_write_key",
    "encrypt_anew",
    "list_keys",
    "load_key_ring",
    "replace_secret",
    "revoke_key",
]

_ID_LETTERS = string.ascii_uppercase + "234567"
_SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


def create_access_key(
    connection: Connection,
    vault: Vault,
    scopes: Iterable[Scope],
    app_id: str | None = None,
    events_per_sec: float | None = None,
    note: str = "",
) -> tuple[Key, str]:
    """A new access key and its secret, which is not told again: the database has it encrypted.

    Raises UsageError for an unknown app, no scope, or a rate or note that cannot be used.
    """
    access_key_id = "HWAK" + "".join(secrets.choice(_ID_LETTERS) for _ in range(16))
    secret = "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40))
    return add_access_key(connection, vault, access_key_id, secret, scopes, app_id, events_per_sec, note), secret


def add_access_key(
    connection: Connection,
    vault: Vault,
    access_key_id: str,
    secret: str,
    scopes: Iterable[Scope],
    app_id: str | None = None,
    events_per_sec: float | None = None,
    note: str = "",
) -> Key:
    """Keeps a pair that clients have already.

    Raises UsageError as create_access_key does, and for an id that is taken (by a revoked key too) or is none. The secret is in no error.
    """
    check_access_key_id(access_key_id)
    _check_secret(access_key_id, secret)
    added = _insert(connection, access_key_id, "access", scopes, app_id, events_per_sec, note, secret_encrypted=vault.encrypt(secret))
    if added is None:
        raise UsageError(
            f"Access key id '{access_key_id}' is taken; expected one that no key has, revoked keys among them. --replace gives it this secret."
        )
    return added


def replace_secret(connection: Connection, vault: Vault, access_key_id: str, secret: str) -> Key:
    """Gives a key that was added or made another secret, and force again when it was revoked; its app, scopes and rate stay.

    Raises UsageError for an id that is no access key's, and for a secret that cannot be used.
    """
    _check_secret(access_key_id, secret)
    changed = connection.execute(
        keys.update()
        .where(keys.c.key_id == access_key_id, keys.c.kind == "access")
        .values(secret_encrypted=vault.encrypt(secret), revoked_at=None, changed_at=dt.datetime.now(dt.UTC))
    )
    if not changed.rowcount:
        raise UsageError(f"There is no access key {shown(access_key_id)}; 'headwater keys list --revoked' shows those that there are.")
    return read_key(connection.execute(sa.select(keys).where(keys.c.key_id == access_key_id)).one())


def encrypt_anew(connection: Connection, vault: Vault) -> int:
    """Encrypts the secret of every key that holds with the vault's first key, after which the others are not needed; returns how many.

    Raises VaultError, which names the key, when a secret cannot be opened; nothing is changed then.
    """
    rows = connection.execute(
        sa.select(keys.c.key_id, keys.c.secret_encrypted).where(keys.c.kind == "access", keys.c.revoked_at.is_(None)).with_for_update()
    ).all()
    for row in rows:
        encrypted = vault.encrypt(open_secret(vault, row.key_id, row.secret_encrypted))
        connection.execute(keys.update().where(keys.c.key_id == row.key_id).values(secret_encrypted=encrypted))
    return len(rows)


def create_write_key(
    connection: Connection,
    scopes: Iterable[Scope] = frozenset({Scope.INGEST}),
    app_id: str | None = None,
    events_per_sec: float | None = None,
    note: str = "",
) -> tuple[Key, str]:
    """A new write key and its text, which is not told again: the database has its hash alone.

    Raises UsageError as create_access_key does.
    """
    chosen = frozenset(scopes)
    while True:
        text = f"hwk_{secrets.token_urlsafe(32)}"
        text_hash = hashlib.sha256(text.encode()).hexdigest()
        # Two texts of 4 billion share the first 8 characters; then another text is made.
        created = _insert(connection, f"hwk_{text_hash[:8]}", "write", chosen, app_id, events_per_sec, note, text_sha256=text_hash)
        if created is not None:
            return created, text


def list_keys(connection: Connection, with_revoked: bool = False) -> list[Key]:
    """Keys by created_at, then key_id."""
    chosen = sa.select(keys).order_by(keys.c.created_at, keys.c.key_id)
    if not with_revoked:
        chosen = chosen.where(keys.c.revoked_at.is_(None))
    return [read_key(row) for row in connection.execute(chosen)]


def revoke_key(connection: Connection, key_id: str, at: dt.datetime) -> Key | None:
    """The key holds no more; its row stays. A second time keeps the first moment. None when there is no such key."""
    connection.execute(keys.update().where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at, changed_at=at))
    found = connection.execute(sa.select(keys).where(keys.c.key_id == key_id)).one_or_none()
    return read_key(found) if found else None


def _check_secret(access_key_id: str, secret: str) -> None:
    if not 1 <= len(secret) <= 256 or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise UsageError(f"The secret of key '{access_key_id}' cannot be used; expected 1 to 256 characters of ASCII without spaces.")


def _insert(
    connection: Connection,
    key_id: str,
    kind: str,
    scopes: Iterable[Scope],
    app_id: str | None,
    events_per_sec: float | None,
    note: str,
    **secret: str,
) -> Key | None:
    """The key; None when its id is taken."""
    chosen = sorted(Scope(scope) for scope in scopes)
    if not chosen:
        raise UsageError(f"A key without a scope lets nobody do anything; expected one or more of {', '.join(Scope)}.")
    if events_per_sec is not None and not (math.isfinite(events_per_sec) and events_per_sec > 0):
        raise UsageError(f"The rate of a key is {events_per_sec} events a second; expected a number greater than 0, for example 100.")
    check_text("The note", note, 0, 200)
    now = dt.datetime.now(dt.UTC)
    row: dict[str, Any] = {"key_id": key_id, "kind": kind, "scopes": ",".join(chosen), "app_id": app_id, "note": note, **secret}
    try:
        with connection.begin_nested():
            connection.execute(keys.insert().values(**row, events_per_sec=events_per_sec, created_at=now, changed_at=now))
    except IntegrityError:
        # Either the app is missing or the id is there.
        if app_id is not None and connection.execute(sa.select(apps.c.app_id).where(apps.c.app_id == app_id)).one_or_none() is None:
            raise UsageError(f"There is no app {shown(app_id)}; 'headwater apps list' shows those that there are.") from None
        return None
    return read_key(connection.execute(sa.select(keys).where(keys.c.key_id == key_id)).one())
