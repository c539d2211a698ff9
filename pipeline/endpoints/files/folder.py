"""Where an export goes: a folder on disk or a prefix in S3, in which a file appears under its name whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, Protocol

import botocore.exceptions

from pipeline.config import Settings
from pipeline.endpoints.files.addresses import check_address, split_s3
from pipeline.stores import build_store
from schemas.errors import UnavailableError, UsageError

# Its name begins with _: the import passes it over.
LOCK = "_export-lock"


class Folder(Protocol):
    """What both can do; `address` is how people name it."""

    address: str

    def list_names(self) -> list[str]:
        """Names of what lies in it, folders within it among them."""

    def put(self, name: str, content: BinaryIO) -> None:
        """Write a file, or replace it."""

    def get(self, name: str) -> bytes:
        """A file whole."""

    def delete(self, names: Sequence[str]) -> None:
        """Remove files; one that is not there is no error."""

    def hold(self) -> AbstractContextManager[None]:
        """Keep others on this machine out, on disk. S3 has no locks: there the note says whose the folder is."""


def open_folder(settings: Settings, address: str) -> Folder:
    """Raises UsageError for an address in the lake, and for one that cannot be used."""
    check_address(settings, address)
    return _S3Folder(settings, address) if address.startswith("s3://") else _DiskFolder(Path(address))


class _DiskFolder:
    def __init__(self, path: Path) -> None:
        self.address, self._path = str(path), path

    def list_names(self) -> list[str]:
        if not self._path.exists():
            return []
        if not self._path.is_dir():
            raise UsageError(f"'{self._path}' is a file; expected a folder, or the name of one that is to be made.")
        return sorted(entry.name for entry in self._path.iterdir())

    def put(self, name: str, content: BinaryIO) -> None:
        beside = self._path / f".{name}.new"
        content.seek(0)
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path / name)
        except OSError as error:
            raise UsageError(f"File '{self._path / name}' cannot be written ({error}); name another folder, or free some disk.") from None

    def get(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            (self._path / name).unlink(missing_ok=True)

    @contextmanager
    def hold(self) -> Iterator[None]:
        path, was_there = self._path / LOCK, self._path.exists()
        self.list_names()
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        except OSError as error:
            raise UsageError(f"Folder '{self._path}' cannot be written ({error}); name another folder.") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it before may have removed it between the two.
                is_ours = path.exists() and path.stat().st_ino == os.fstat(lock.fileno()).st_ino
            except BlockingIOError:
                is_ours = False
            if not is_ours:
                raise UsageError(f"Folder '{self._path}' is being written by another export (lock {path}); wait, or name another folder.")
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                if not was_there and not any(self._path.iterdir()):
                    self._path.rmdir()


class _S3Folder:
    def __init__(self, settings: Settings, address: str) -> None:
        bucket, key = split_s3(address)
        self.address = f"s3://{bucket}/{key}".rstrip("/")
        self._prefix = f"{key}/" if key else ""
        self._store = build_store(settings.model_copy(update={"s3_bucket": bucket}))

    def list_names(self) -> list[str]:
        with _store_errors(self.address):
            found = [stored.key.removeprefix(self._prefix) for stored in self._store.list_objects(self._prefix)]
        return sorted({name.partition("/")[0] for name in found if name})

    def put(self, name: str, content: BinaryIO) -> None:
        with _store_errors(self.address):
            self._store.put_file(self._prefix + name, content)

    def get(self, name: str) -> bytes:
        with _store_errors(self.address):
            return self._store.get(self._prefix + name)

    def delete(self, names: Sequence[str]) -> None:
        with _store_errors(self.address):
            self._store.delete([self._prefix + name for name in names])

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


class _store_errors:
    """Errors of the store in words."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, botocore.exceptions.ClientError):
            said = error.response.get("Error", {})
            raise UsageError(
                f"Address '{self._address}' cannot be used: {said.get('Code')} {said.get('Message', '')}; expected a bucket that is there and "
                "that the key in HEADWATER_S3_ACCESS_KEY_ID may write."
            ) from None
        if isinstance(error, botocore.exceptions.BotoCoreError):
            raise UnavailableError(
                f"The S3 store did not answer for '{self._address}': {error}; see HEADWATER_S3_ENDPOINT, then try again."
            ) from None
