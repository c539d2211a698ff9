"""The Java programs of the local stack: locked Maven artifacts, fetched once, checked at every start."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import truststore
from jgo.config import GlobalSettings
from jgo.maven import MavenContext, PythonResolver
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from schemas.errors import UnavailableError

LOCK_FILE = Path(__file__).parents[2] / "deploy" / "local" / "artifacts.json"
THREADS = 8
ATTEMPTS = 3


@dataclass(frozen=True)
class Artifact:
    """One locked jar."""

    group: str
    artifact: str
    version: str
    classifier: str
    bytes: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}" + (f":{self.classifier}" if self.classifier else "")


def load_lock(lock_file: Path = LOCK_FILE) -> dict[str, list[Artifact]]:
    """Program ('kafka', 's3') -> its jars."""
    return {program: [Artifact(**row) for row in rows] for program, rows in json.loads(lock_file.read_text()).items()}


def fetch_artifacts(artifacts: list[Artifact], context: MavenContext | None = None) -> list[Path]:
    """Paths of the jars, in the order given; those that the user's Maven cache lacks are downloaded, with progress on standard error.

    Every jar's sha256 is checked at every call, so that what runs is what is locked.

    Raises UnavailableError when a jar cannot be downloaded or is not the one that is locked.
    """
    context = context or build_context()
    missing = [artifact for artifact in artifacts if not _is_intact(_cached_path(context, artifact), artifact)]
    if missing:
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(f"Fetching {len(missing)} Java libraries", total=sum(artifact.bytes for artifact in missing))
            context.resolver = PythonResolver(progress_callback=lambda _name, _size: _advance(progress, task))
            with _system_certificates(), ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(lambda artifact: _fetch(context, artifact), missing))
            progress.update(task, completed=sum(artifact.bytes for artifact in missing))
    return [_cached_path(context, artifact) for artifact in artifacts]


def build_context() -> MavenContext:
    """Where jars come from and are kept, as jgo's own configuration says (mirrors too); by default ~/.m2/repository, as Maven does."""
    configured = GlobalSettings.load()
    return MavenContext(repo_cache=configured.repo_cache, remote_repos=configured.repositories or None, timeout=60)


def _fetch(context: MavenContext, artifact: Artifact) -> None:
    """Download into a folder of its own, check, then move into place: a half of a jar is never seen by anybody."""
    target = _cached_path(context, artifact)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        private = MavenContext(context.resolver, Path(folder), remote_repos=context.remote_repos, timeout=context.timeout)
        found = _download(private, artifact)
        if not _is_intact(found, artifact):
            digest = hashlib.sha256(found.read_bytes()).hexdigest()
            raise UnavailableError(
                f"Java library {artifact} has sha256 {digest}; expected {artifact.sha256} as locked in deploy/local/artifacts.json. "
                "Nothing was started. The repository or a proxy on the way serves another file: fetch again, or see what it is."
            )
        os.replace(found, target)


def _download(context: MavenContext, artifact: Artifact) -> Path:
    failure: Exception | None = None
    for _ in range(ATTEMPTS):
        _cached_path(context, artifact).unlink(missing_ok=True)
        try:
            return _as_jgo(context, artifact).resolve()  # type: ignore[no-any-return]
        except (requests.RequestException, RuntimeError) as error:
            failure = error
    raise UnavailableError(
        f"Java library {artifact} could not be downloaded in {ATTEMPTS} attempts ({failure}); expected a Maven repository to be reachable. "
        "See the network and proxy settings, or name a mirror under [repositories] in jgo's configuration file."
    )


def _as_jgo(context: MavenContext, artifact: Artifact) -> Any:
    return context.project(artifact.group, artifact.artifact).at_version(artifact.version).artifact(classifier=artifact.classifier)


def _cached_path(context: MavenContext, artifact: Artifact) -> Path:
    path: Path = _as_jgo(context, artifact).cached_path
    return path


def _is_intact(path: Path, artifact: Artifact) -> bool:
    if not path.exists() or path.stat().st_size != artifact.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Trust what the machine trusts beside the well-known authorities: a company's proxy has an authority of its own."""
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


@contextmanager
def _advance(progress: Progress, task: Any) -> Iterator[Any]:
    yield lambda size: progress.advance(task, size)
