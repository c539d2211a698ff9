"""The vault: secrets that must be read again (to check a signature) are kept encrypted, under a key that is not in the database."""

import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipeline.config import Settings
from schemas.errors import SettingError, UsageError

HOME_KEY = "definitions_key"
_MAKE_KEY = "head -c 32 /dev/urandom | base64 | tr '+/' '-_'"
_EXPECTED = f"Fernet keys with commas between, the first of which encrypts; this makes one: {_MAKE_KEY}"


class VaultError(UsageError):
    """No key of the vault opens a secret."""


class Vault:
    """Encrypts with the first of its keys and decrypts with any of them, so that a key can be replaced without a stop."""

    def __init__(self, keys: list[str]) -> None:
        """Raises ValueError for a key that is not Fernet's: 32 bytes in url-safe base64."""
        self._keys = keys
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def derive(self, purpose: str) -> list[bytes]:
        """A secret of 32 bytes for a purpose from each key, in their order: what the first one made is known by its secret."""
        return [hmac.digest(key.encode(), purpose.encode(), "sha256") for key in self._keys]

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """Raises VaultError when none of the keys made this."""
        try:
            return self._fernet.decrypt(text).decode()
        except InvalidToken:
            raise VaultError(
                "No key of setting 'DEFINITIONS_KEY' opens this secret; expected the key it was encrypted with to be among them."
            ) from None


def build_vault(settings: Settings) -> Vault:
    """The vault with the keys of the setting, or else with the key that the local stack made.

    Raises SettingError when there is neither, and for a key that is none. A key is never in an error.
    """
    given = settings.definitions_key.get_secret_value()
    keys = [part.strip() for part in given.split(",") if part.strip()] or [settings.local_secret(HOME_KEY)]
    if not keys[0]:
        raise SettingError(
            "DEFINITIONS_KEY", "", f"{_EXPECTED} (or 'headwater up', which makes a key of its own and keeps it in {settings.secrets_file})"
        )
    try:
        return Vault(keys)
    except ValueError:
        where = "" if given else f" in {settings.secrets_file}"
        raise SettingError("DEFINITIONS_KEY", f"(not shown){where}", _EXPECTED) from None
