"""Clients as their users install them, by the locks in tests/clients: made once by whichever test asks first, kept in the user's cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "clients"
SECS_MAX = 800
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def make_python() -> Path:
    """The `bin` folder of an environment with boto3, aws-cli and moto in it."""
    lock = FOLDER / "requirements.txt"

    def make(folder: Path) -> None:
        uv = str(Path(sys.executable).parent / "uv")
        trust = ["--system-certs"] if any(Path(bundle).exists() for bundle in CERTIFICATES) else []
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder / "env")])
        options = [*trust, "--compile-bytecode", "--python", str(folder / "env/bin/python")]
        run([uv, "pip", "sync", "--quiet", *options, "--require-hashes", str(lock)])

    return _make_once("python", [lock], make, f"{sys.version}, compiled") / "env/bin"


def make_node(folder: Path) -> Path:
    """A folder for scripts of Node.js, beside the libraries that package-lock.json names; returns `folder`, with our scripts in it."""
    require("node", "npm")
    files = [FOLDER / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def make(made: Path) -> None:
        for file in files:
            shutil.copy(file, made)
        run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=made)

    modules = _make_once("node", files, make) / "node_modules"
    folder.mkdir(exist_ok=True)
    (folder / "node_modules").symlink_to(modules)
    for script in FOLDER.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def make_go() -> Path:
    """The program of tests/clients/go. Skips where Go is older than its go.mod asks."""
    require("go")
    files = [FOLDER / "go" / name for name in ("go.mod", "go.sum", "main.go")]
    asked, found = _go_version(files[0].read_text()), _go_version(run(["go", "version"]).replace("version go", "go "))
    if found < asked:
        pytest.skip(f"Go {found[0]}.{found[1]} is here; {asked[0]}.{asked[1]} or later is expected by AWS's SDK.")

    def make(made: Path) -> None:
        for file in files:
            shutil.copy(file, made)
        run(["go", "build", "-o", "put-events", "."], cwd=made, GOFLAGS="-mod=readonly", GOTOOLCHAIN="local", CGO_ENABLED="0")

    return _make_once("go", files, make) / "put-events"


def require(*programs: str) -> None:
    """Skips the test where one of these programs is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"Program '{missing[0]}' is not installed; .ci/run installs it.")


def run(command: Sequence[str], cwd: Path | None = None, stdin: str = "", **variables: str) -> str:
    """The standard output of a program; fails with what it said when it fails."""
    done = subprocess.run(
        command, cwd=cwd, input=stdin, env=os.environ | variables, capture_output=True, text=True, timeout=SECS_MAX, check=False
    )
    assert done.returncode == 0, f"'{' '.join(command)}' ended with status {done.returncode}: {(done.stderr or done.stdout)[-4000:]}"
    return done.stdout


def _go_version(text: str) -> tuple[int, int]:
    found = re.search(r"\bgo (\d+)\.(\d+)", text)
    assert found is not None, text
    return int(found[1]), int(found[2])


def _make_once(name: str, inputs: Sequence[Path], make: Callable[[Path], None], more: str = "") -> Path:
    """The folder of these inputs, made unless it is there; another process that makes it is waited for."""
    digest = hashlib.sha256(more.encode() + b"".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder, ready = cache / f"{name}-{digest}", cache / f"{name}-{digest}" / ".ready"
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            ready.touch()
    return folder
