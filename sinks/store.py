"""The S3 store: where it is, whose key is used, and the calls that the lake needs of it."""

import base64
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import botocore.config
import botocore.exceptions
import botocore.session

from schemas.errors import UnavailableError

# So many keys go into one request to delete.
_DELETES_MAX = 1000
_PART_BYTES = 16_000_000


@dataclass(frozen=True)
class StoredObject:
    """An object of the store; `modified_at` in seconds since 1970, by the store's clock."""

    key: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True)
class Credentials:
    """One access key at one moment; a rotated key is another value."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None


class Store:
    """An S3 store with conditional writes.

    `endpoint` '' means AWS itself; `is_local`: the local stack's, which errors then say how to start. Without
    `access_key_id`, keys come from botocore's credential chain and rotate with it.
    """

    def __init__(
        self,
        endpoint: str,
        region: str,
        bucket: str,
        access_key_id: str = "",
        secret_access_key: str = "",
        session_token: str = "",
        is_local: bool = False,
    ) -> None:
        self.endpoint, self.region, self.bucket = endpoint, region or "us-east-1", bucket
        self.is_local = is_local
        self._session = botocore.session.Session()
        if access_key_id:
            self._session.set_credentials(access_key_id, secret_access_key, session_token or None)
        self._client: Any = None

    def credentials(self) -> Credentials:
        """The key in force now.

        Raises UnavailableError when the credential chain has none, or has one that it cannot make or renew.
        """
        try:
            found = self._session.get_credentials()
            frozen = found.get_frozen_credentials() if found is not None else None
        except (botocore.exceptions.BotoCoreError, RuntimeError) as error:
            # botocore says with a RuntimeError that a key which it renewed has ended all the same.
            raise _no_key(f"botocore's credential chain failed ({str(error).strip()})") from error
        if frozen is None:
            raise _no_key(f"botocore's credential chain is empty, and no local stack has made one for '{self.endpoint or 'AWS'}'")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def client(self) -> Any:
        """botocore's S3 client (thread-safe), made once. Retries of its own are few: the caller has a rule for unknown outcomes."""
        if self._client is None:
            self.credentials()
            config = botocore.config.Config(
                s3={"addressing_style": "path" if self.endpoint else "auto"},
                connect_timeout=5,
                read_timeout=30,
                retries={"max_attempts": 2, "mode": "standard"},
                max_pool_connections=16,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            )
            self._client = self._session.create_client("s3", region_name=self.region, endpoint_url=self.endpoint or None, config=config)
        return self._client

    def put(self, key: str, body: bytes) -> None:
        """Write an object; its MD5 goes along, so that a body that was torn or altered on the way is refused by the store."""
        self.client().put_object(Bucket=self.bucket, Key=key, Body=body, ContentMD5=_content_md5(body))

    def put_file(self, key: str, file: BinaryIO) -> int:
        """Write a local file as an object, in parts, each with its MD5, so that little of it is in memory; returns its bytes."""
        file.seek(0)
        first = file.read(_PART_BYTES)
        if len(first) < _PART_BYTES:
            self.put(key, first)
            return len(first)
        place = {"Bucket": self.bucket, "Key": key}
        place["UploadId"] = self.client().create_multipart_upload(**place)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            part = first
            while part:
                number = len(parts) + 1
                tag = self.client().upload_part(**place, PartNumber=number, Body=part, ContentMD5=_content_md5(part))["ETag"]
                parts.append({"PartNumber": number, "ETag": tag})
                part = file.read(_PART_BYTES)
            self.client().complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self.client().abort_multipart_upload(**place)
            raise
        return file.tell()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that are not there any more are no error.

        Raises UnavailableError when the store kept one of them.
        """
        for start in range(0, len(keys), _DELETES_MAX):
            objects = [{"Key": key} for key in keys[start : start + _DELETES_MAX]]
            kept = self.client().delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
            if kept:
                raise UnavailableError(
                    f"The S3 store did not delete '{kept[0].get('Key')}' and {len(kept) - 1} more: {kept[0].get('Message')}. "
                    "Expected the right to delete: allow s3:DeleteObject; what was kept is tried again at the next run."
                )

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Every object under a prefix, in the order of their keys."""
        for page in self.client().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"].timestamp())

    def get(self, key: str) -> bytes:
        """Read an object whole."""
        body: bytes = self.client().get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def delta_options(self) -> dict[str, str]:
        """Options for delta-rs, with the key in force now."""
        key = self.credentials()
        options = {
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_REGION": self.region,
            # Delta's commit is a conditional PUT (If-None-Match) of the store itself: no lock table.
            "AWS_CONDITIONAL_PUT": "etag",
            # By default it tries for three minutes, and says nothing meanwhile: the caller has a rule for unknown outcomes.
            "timeout": "20s",
            "connect_timeout": "5s",
            "max_retries": "2",
            "retry_timeout": "10s",
        }
        if key.session_token:
            options["AWS_SESSION_TOKEN"] = key.session_token
        if self.endpoint:
            options["AWS_ENDPOINT_URL"] = self.endpoint
            options["AWS_ALLOW_HTTP"] = "true" if self.endpoint.startswith("http://") else "false"
        return options

    def s3fs_options(self) -> dict[str, Any]:
        """Keyword arguments for s3fs.S3FileSystem, with the key in force now."""
        key = self.credentials()
        return {
            "key": key.access_key_id,
            "secret": key.secret_access_key,
            "token": key.session_token,
            "endpoint_url": self.endpoint or None,
            "client_kwargs": {"region_name": self.region},
        }


def _content_md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _no_key(why: str) -> UnavailableError:
    return UnavailableError(
        f"No S3 key was found: HEADWATER_S3_ACCESS_KEY_ID is not set, {why}; set the key. The local stack, which 'headwater up' starts, "
        "makes one for its own address only: see HEADWATER_S3_ENDPOINT and HEADWATER_PORT_OFFSET."
    )
