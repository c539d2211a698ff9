"""One real stack (Kafka, S3) for all tests; topics, a bucket and a home for each test of its own."""

import os
import random
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from pipeline.config import Settings, load_settings
from pipeline.definitions.database import open_definitions
from pipeline.kafka_admin import open_admin
from pipeline.stack.lifecycle import start_stack
from pipeline.stack.ports import is_free
from pipeline.stack.programs import environment
from pipeline.stack.readiness import ensure_bucket
from pipeline.topics import ensure_topics
from pipeline.topology import TOPICS, topic_name
from tests import definitions_named
from tests.browsers import browser  # noqa: F401  (a fixture of several files, as the next ones)
from tests.dedup_reads import reads  # noqa: F401
from tests.faults.rig.proof import add_options, configure, label, proof, schedule  # noqa: F401
from tests.faults.wire.canary import canary  # noqa: F401
from tests.forked_command import allow_forks, run_forked
from tests.geo_database import geo_files  # noqa: F401
from tests.postgres import Postgres, running_postgres

RunHeadwater = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)
    definitions_named.add_option(parser)


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: {config.getoption('faults')} schedules, --faults-seed {config.getoption('faults_seed')}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    label(config, items)


def pytest_configure(config: pytest.Config) -> None:
    """Tests say what they need; settings of the person who runs them are not theirs."""
    configure(config)
    definitions_named.configure(config)
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        del os.environ[name]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What measures memory starts processes as users do; so does, in full, what measures times."""
    marks = {mark.name for mark in item.iter_markers()}
    as_users_do = {"unforked", "alone"} if item.config.getoption("faults") == "full" else {"unforked"}
    allow_forks(not as_users_do & marks)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A running stack without workers: the settings that it was started with."""
    with bare_stack(tmp_path_factory.mktemp("stack") / "home") as settings:
        yield settings


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A stack that the tests of one file have for themselves: its servers may be killed."""
    with bare_stack(tmp_path_factory.mktemp("own") / "home") as settings:
        yield settings


@contextmanager
def bare_stack(home: Path) -> Iterator[Settings]:
    """Kafka and S3 on free ports, and nothing of ours, for the time of a `with` block: the settings that it was started with."""
    settings = load_settings(home=home, port_offset=free_port_offset(), local_workers=0, local_maintenance=False, local_api=False)
    with running_stack(settings):
        yield settings


@contextmanager
def running_stack(settings: Settings) -> Iterator[None]:
    """A stack for the time of a `with` block; it is stopped and removed even when this process is killed.

    Another process waits for the end of its standard input, which comes when this one closes it or is gone.
    """
    stop = f"import sys; sys.stdin.read(); sys.argv = {['headwater', 'down', '--delete']!r}; from pipeline.cli import main; main()"
    variables = os.environ | environment(settings)
    with subprocess.Popen(
        [sys.executable, "-c", stop], env=variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    ):
        start_stack(settings)
        yield


@pytest.fixture
def settings(stack: Settings, tmp_path: Path) -> Settings:
    """Settings of one test on that stack."""
    return settings_apart(stack, tmp_path / "home")


def settings_apart(stack: Settings, home: Path, **given: Any) -> Settings:
    """Settings on a running stack: a bucket, a topic prefix, a consumer group and a home (with the stack's keys) of their own."""
    name = uuid.uuid4().hex[:12]
    home.mkdir(parents=True)
    shutil.copy(stack.secrets_file, home)
    own = {"s3_bucket": f"t-{name}", "topic_prefix": f"t-{name}-", "worker_group": f"t-{name}"}
    found = load_settings(home=home, port_offset=stack.port_offset, local_workers=0, local_api=False, **own, **given)
    ensure_bucket(found)
    return found


@pytest.fixture
def topics(settings: Settings) -> Iterator[list[str]]:
    """The names of the topics, made for this test and removed after it."""
    yield ensure_topics(settings)
    with open_admin(settings) as admin:
        admin.delete_topics([topic_name(settings, topic) for topic in TOPICS])


@pytest.fixture
def run_headwater(settings: Settings) -> RunHeadwater:
    """Run the `headwater` command under this test's settings: run_headwater("status", "--json")."""

    def run(*arguments: str, secs_max: float = 120, **overrides: str) -> subprocess.CompletedProcess[str]:
        return headwater(settings, *arguments, secs_max=secs_max, **overrides)

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def definitions_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a new definitions database, once as a SQLite file and once on a real PostgreSQL; no stack is needed."""
    with request.getfixturevalue("postgres").database() if request.param == "postgresql" else nullcontext("") as url:
        yield load_settings(home=tmp_path / "home", definitions_url=url, definitions_key=Fernet.generate_key().decode())


@pytest.fixture
def engine(definitions_settings: Settings) -> Iterator[Engine]:
    """That database, open."""
    opened = open_definitions(definitions_settings)
    yield opened
    opened.dispose()


def headwater(settings: Settings, *arguments: str, secs_max: float = 120, **overrides: str) -> subprocess.CompletedProcess[str]:
    """Run the `headwater` command; `overrides` are settings by lower-case name. Standard output and error are text."""
    variables = os.environ | environment(settings) | {f"HEADWATER_{name.upper()}": value for name, value in overrides.items()}
    return run_forked(arguments, variables, secs_max)


def free_port_offset() -> int:
    """An offset at which every default port is free; below the ports that the system gives to outgoing connections."""
    for offset in random.sample(range(1000, 20000, 20), 200):
        settings = load_settings(port_offset=offset)
        ports = [settings.kafka_port, settings.kafka_controller_port, settings.s3_port, *range(9463 + offset, 9468 + offset), 8080 + offset]
        if all(is_free(port) for port in ports):
            return offset
    raise AssertionError("no free ports")
