"""The HTTP API as a process of its own, for tests: started, killed, asked; and keys for those who call it."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from pipeline.config import Settings
from pipeline.definitions.apps import create_app
from pipeline.definitions.database import open_definitions
from pipeline.definitions.key import Scope
from pipeline.definitions.keys import create_access_key, create_write_key
from pipeline.definitions.vault import build_vault
from pipeline.stack.programs import environment
from tests.forked_command import Forked, start_python
from tests.worker_process import wait_until

EVERYTHING = frozenset(Scope)


class ApiProcess:
    """`headwater serve` with settings of a test, on a port of its own, started as `start_python` says. `module` may name a rigged one; `rig` is its environment."""

    def __init__(self, settings: Settings, folder: Path, module: str = "pipeline.commands.serve", **rig: str) -> None:
        self.settings, self.module, self.rig = settings, module, rig
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"api-{self.port}.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> "ApiProcess":
        variables = os.environ | environment(self.settings) | {"HEADWATER_API_PORT": str(self.port)} | self.rig
        code = f"import sys; from pipeline.lean_memory import choose_arrow_pool; choose_arrow_pool(); import {self.module} as m; m.app()"
        self.process = start_python(code, [], variables, self.log)
        wait_until(lambda: not self.is_running or self.answers(), f"{self.url} answers")
        assert self.is_running, self.log.read_text()
        return self

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, secs_max: float = 30) -> int:
        """SIGTERM; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(secs_max)


@contextmanager
def serving(api: ApiProcess) -> Iterator[ApiProcess]:
    """An API that runs inside the block and surely not after it; when it fails, its last lines are printed."""
    try:
        yield api.start()
    except BaseException:
        print(f"{api.log}:", *api.log.read_text().splitlines()[-40:], sep="\n")
        raise
    finally:
        if api.is_running:
            api.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def make_app(settings: Settings, app_id: str = "shop") -> str:
    """An app in the test's definitions database."""
    with open_definitions(settings).begin() as connection:
        return create_app(connection, app_id, app_id).app_id


def make_access_key(settings: Settings, app_id: str | None = None, scopes: frozenset[Scope] = EVERYTHING, **given: Any) -> tuple[str, str]:
    """Access key id and secret."""
    with open_definitions(settings).begin() as connection:
        key, secret = create_access_key(connection, build_vault(settings), scopes, app_id, **given)
    return key.key_id, secret


def make_write_key(settings: Settings, app_id: str | None = "shop", **given: Any) -> str:
    """The text of a write key."""
    with open_definitions(settings).begin() as connection:
        return create_write_key(connection, app_id=app_id, **given)[1]


def client(service: str, api: ApiProcess, key: tuple[str, str], **options: Any) -> Any:
    """A client of boto3's, unmodified, that tries once."""
    return boto3.client(
        service,
        endpoint_url=api.url,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def read_json(answer: Any) -> Any:
    return json.loads(answer.read())
