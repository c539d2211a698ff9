"""Where the files lie: a path or an s3:// address becomes a list of stored files that can be opened and hashed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import botocore.exceptions
import xxhash
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from schemas.errors import UnavailableError, UsageError
from sinks.store import Store

HASH_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class StoredFile:
    """One file as it lies in its store. `version` changes when its content does: time and size, or S3's ETag."""

    address: str
    size: int
    version: str
    open: Callable[[], BinaryIO]
    is_named: bool

    @property
    def name(self) -> str:
        return PurePosixPath(self.address).name


class Places:
    """Finds files on the local disk and in the S3 store. `build_store` is called at the first s3:// address, or never."""

    def __init__(self, build_store: Callable[[], Store]) -> None:
        self._build_store = build_store
        self._found_store: Store | None = None
        self._s3fs: Any = None

    def find_files(self, address: str) -> list[StoredFile]:
        """The files at an address, ordered by name.

        A folder is searched to its bottom, without names that begin with _ or . (markers and logs of other tools);
        the folder of a Delta table gives the files of its present version, not those that it replaced.

        Raises UsageError when there is nothing, UnavailableError when the store does not answer.
        """
        with _store_errors(address):
            files = self._find_in_s3(address) if address.startswith("s3://") else _find_on_disk(Path(address))
        if not files:
            raise UsageError(f"Folder '{address}' holds no file; expected files in NDJSON, Parquet, Avro or CSV.")
        return sorted(files, key=lambda file: file.address)

    def changed(self, file: StoredFile) -> bool:
        """Whether the file was written to since it was found."""
        with _store_errors(file.address):
            if file.address.startswith("s3://"):
                self._filesystem().invalidate_cache()
                return _s3_version(self._filesystem().info(file.address)) != file.version
            return _disk_version(Path(file.address)) != file.version

    def _store(self) -> Store:
        if self._found_store is None:
            self._found_store = self._build_store()
        return self._found_store

    def _filesystem(self) -> Any:
        if self._s3fs is None:
            import s3fs

            self._s3fs = s3fs.S3FileSystem(**self._store().s3fs_options(), skip_instance_cache=True)
        return self._s3fs

    def _find_in_s3(self, address: str) -> list[StoredFile]:
        filesystem = self._filesystem()
        address = address.rstrip("/")
        if filesystem.info(address)["type"] != "directory":
            return [self._in_s3(filesystem.info(address), is_named=True)]
        if filesystem.exists(f"{address}/_delta_log"):
            uris = _delta_files(address, self._store().delta_options())
            return [self._in_s3(filesystem.info(uri), is_named=True) for uri in uris]
        found = filesystem.find(address, detail=True).values()
        bottom = address.removeprefix("s3://").strip("/")
        return [self._in_s3(info, is_named=False) for info in found if info["size"] and _is_data(info["name"].removeprefix(bottom))]

    def _in_s3(self, info: dict[str, Any], is_named: bool) -> StoredFile:
        address = "s3://" + info["name"]
        return StoredFile(address, info["size"], _s3_version(info), lambda: self._filesystem().open(address, "rb"), is_named)


def hash_content(file: StoredFile, prefixes: Iterable[int], on_bytes: Callable[[int], None]) -> dict[int, str]:
    """xxh3-128, in hex, of the whole file as stored and of its first bytes up to each of the lengths `prefixes`, by length.

    `on_bytes` hears after each part how much was read.
    """
    digest, done, hashes = xxhash.xxh3_128(), 0, {}
    ends = sorted({size for size in prefixes if size < file.size})
    with _store_errors(file.address), file.open() as stream:
        while chunk := stream.read(min(HASH_CHUNK_BYTES, ends[0] - done) if ends else HASH_CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            if ends and done == ends[0]:
                hashes[ends.pop(0)] = digest.hexdigest()
            on_bytes(done)
    return hashes | {file.size: digest.hexdigest()}


def _find_on_disk(path: Path) -> list[StoredFile]:
    if path.is_file():
        return [_on_disk(path, is_named=True)]
    if not path.exists():
        raise FileNotFoundError(str(path))
    if (path / "_delta_log").is_dir():
        return [_on_disk(Path(uri), is_named=True) for uri in _delta_files(str(path), {})]
    found = (file for file in path.rglob("*") if file.is_file())
    return [_on_disk(file, is_named=False) for file in found if _is_data(str(file.relative_to(path)))]


def _on_disk(path: Path, is_named: bool) -> StoredFile:
    return StoredFile(str(path), path.stat().st_size, _disk_version(path), lambda: path.open("rb"), is_named)


def _disk_version(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_mtime_ns}/{stat.st_size}"


def _s3_version(info: dict[str, Any]) -> str:
    return f"{info.get('ETag')}/{info['size']}"


def _is_data(relative: str) -> bool:
    return not any(part.startswith(("_", ".")) for part in relative.split("/") if part)


def _delta_files(address: str, options: dict[str, str]) -> list[str]:
    try:
        return sorted(DeltaTable(address, storage_options=options).file_uris())
    except DeltaError as error:
        raise UsageError(f"Folder '{address}' has a _delta_log, but is not a Delta table that can be read: {error}.") from error


@contextmanager
def _store_errors(address: str) -> Iterator[None]:
    """Errors of disk and store, in words: what was asked for, what came back, the way out."""
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"'{address}' is not there; expected a file, a folder or an s3:// address (s3://bucket/prefix).") from None
    except PermissionError as error:
        raise UsageError(
            f"'{address}' may not be read ({error}); give this user, or the S3 key in HEADWATER_S3_ACCESS_KEY_ID, the right."
        ) from None
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, ConnectionError, TimeoutError) as error:
        raise UnavailableError(
            f"The S3 store did not answer for '{address}': {error}; see HEADWATER_S3_ENDPOINT, then try again."
        ) from None
