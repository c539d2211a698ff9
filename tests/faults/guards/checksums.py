"""The store is told what each body's digest is: Content-MD5, and SHA-256 in what is signed. Without this guard it takes whatever arrives."""

from typing import Any
from unittest import mock

import botocore.config

from sinks.store import Store

_Config = botocore.config.Config
_delta_options = Store.delta_options


def _put(self: Store, key: str, body: bytes) -> None:
    self.client().put_object(Bucket=self.bucket, Key=key, Body=body)


def _unsigned_config(**options: Any) -> botocore.config.Config:
    return _Config(**options | {"s3": options["s3"] | {"payload_signing_enabled": False}})


def _unsigned_options(self: Store) -> dict[str, str]:
    return _delta_options(self) | {"AWS_UNSIGNED_PAYLOAD": "true"}


def remove() -> None:
    mock.patch.object(Store, "put", _put).start()
    mock.patch.object(Store, "delta_options", _unsigned_options).start()
    mock.patch.object(botocore.config, "Config", _unsigned_config).start()
