"""Java programs are what is locked, or nothing is started."""

import gc
import hashlib
import http.server
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from jgo.maven import MavenContext

from pipeline.stack.artifacts import Artifact, fetch_artifacts, load_lock
from schemas.errors import UnavailableError

pytestmark = pytest.mark.attack("S9")

BODY = b"a jar" * 1000
JAR = Artifact("org.example", "thing", "1.0", "", len(BODY), hashlib.sha256(BODY).hexdigest())
CACHED = Path("org/example/thing/1.0/thing-1.0.jar")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The folder of a Maven repository that has the jar."""
    folder = tmp_path / "repository"
    (folder / CACHED).parent.mkdir(parents=True)
    (folder / CACHED).write_bytes(BODY)
    return folder


@pytest.fixture
def context(repository: Path, tmp_path: Path) -> Iterator[MavenContext]:
    """A Maven context that knows only that repository, with an empty cache."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(repository))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield MavenContext(repo_cache=tmp_path / "cache", remote_repos={"here": f"http://127.0.0.1:{server.server_port}"})
        server.shutdown()
        thread.join()
    with warnings.catch_warnings():
        # jgo leaves the answer of a repository that lacks a jar open until it is collected.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_jar_is_fetched_once_and_kept(context: MavenContext, repository: Path) -> None:
    [path] = fetch_artifacts([JAR], context)
    assert path == context.repo_cache / CACHED
    assert path.read_bytes() == BODY
    (repository / CACHED).unlink()
    assert fetch_artifacts([JAR], context) == [path], "the second time needs no repository"


def test_a_jar_that_is_not_the_locked_one_is_refused_and_not_kept(context: MavenContext, repository: Path) -> None:
    (repository / CACHED).write_bytes(BODY[::-1])
    with pytest.raises(UnavailableError, match=rf"org\.example:thing:1\.0 has sha256 .* expected {JAR.sha256}"):
        fetch_artifacts([JAR], context)
    assert list(context.repo_cache.rglob("*.jar")) == []


def test_half_a_jar_in_the_cache_is_fetched_again(context: MavenContext) -> None:
    (context.repo_cache / CACHED).parent.mkdir(parents=True)
    (context.repo_cache / CACHED).write_bytes(BODY[:100])
    assert fetch_artifacts([JAR], context)[0].read_bytes() == BODY


def test_a_jar_that_cannot_be_had_is_named(context: MavenContext, repository: Path) -> None:
    (repository / CACHED).unlink()
    with pytest.raises(UnavailableError, match=r"org\.example:thing:1\.0 could not be downloaded"):
        fetch_artifacts([JAR], context)


def test_the_lock_names_each_jar_once() -> None:
    for artifacts in load_lock().values():
        assert len({(artifact.group, artifact.artifact, artifact.classifier) for artifact in artifacts}) == len(artifacts)
        assert all(len(artifact.sha256) == 64 and artifact.bytes > 0 for artifact in artifacts)
