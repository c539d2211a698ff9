"""The key ring: all that says who may do what, read at once, to be asked without the database."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy import Connection

from pipeline.definitions.guests import list_guest_pools
from pipeline.definitions.key import Key, read_key
from pipeline.definitions.tables import apps, keys
from pipeline.definitions.vault import Vault, VaultError


@dataclass(frozen=True)
class KeyRing:
    """Keys that are not revoked, apps and guest pools at one moment.

    `access` has the key and its plain secret by access key id, `write` the key by the sha256 (hex) of its text, `guest_pools` the app_id
    by pool id. Plain secrets are here and nowhere else; the text form does not show them.
    """

    access: Mapping[str, tuple[Key, str]] = field(repr=False)
    write: Mapping[str, Key] = field(repr=False)
    app_ids: frozenset[str]
    guest_pools: Mapping[str, str]


def load_key_ring(connection: Connection, vault: Vault, on_unreadable: Callable[[VaultError], None] | None = None) -> KeyRing:
    """The ring; `on_unreadable` hears of each key whose secret cannot be opened, which then is not in it.

    Raises VaultError, which names the key, where nobody hears it.
    """
    access: dict[str, tuple[Key, str]] = {}
    write: dict[str, Key] = {}
    for row in connection.execute(sa.select(keys).where(keys.c.revoked_at.is_(None))):
        key = read_key(row)
        if key.kind == "access":
            try:
                access[key.key_id] = (key, open_secret(vault, key.key_id, row.secret_encrypted))
            except VaultError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
        else:
            write[row.text_sha256] = key
    app_ids = frozenset(connection.execute(sa.select(apps.c.app_id)).scalars())
    return KeyRing(access, write, app_ids, list_guest_pools(connection))


def open_secret(vault: Vault, key_id: str, encrypted: str) -> str:
    """A key's plain secret. Raises VaultError, which names the key, when no key of the vault opens it."""
    try:
        return vault.decrypt(encrypted)
    except VaultError:
        raise VaultError(
            f"The secret of key '{key_id}' cannot be opened with any key of setting 'DEFINITIONS_KEY'; expected the one it was encrypted with "
            f"among them, with commas between. When that one is lost: 'headwater keys revoke {key_id}', and create another."
        ) from None
