"""Setting up: the locks, the make targets, and what a machine that lacks something is told."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = [
    "requirements.txt",
    "requirements-dev.txt",
    "deploy/local/requirements-uv.txt",
    "deploy/local/requirements-cc.txt",
    "tests/bench/requirements.txt",
    "tests/clients/requirements.txt",
]


@pytest.mark.attack("S9")
@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_every_library_by_hash_and_name_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^([a-z0-9.\-]+)==", text, re.MULTILINE)
    assert pins
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text
    assert "index" not in re.sub(r"^[a-z0-9.\-]+==.*", "", text, flags=re.MULTILINE)


@pytest.mark.attack("S9")
def test_the_lock_of_nodes_libraries_pins_each_by_hash_and_names_no_registry() -> None:
    own, *libraries = json.loads((ROOT / "tests/clients/package-lock.json").read_text())["packages"].items()
    assert own[1]["dependencies"] == json.loads((ROOT / "tests/clients/package.json").read_text())["dependencies"]
    assert [name for name, library in libraries if not library.get("integrity", "").startswith("sha512-")] == []
    assert [name for name, library in libraries if "resolved" in library] == []


@pytest.mark.attack("S9")
def test_the_locks_hold_what_the_project_depends_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[=<>~!\[; ]", requirement)[0].lower() for requirement in requirements}

    def locked(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9.\-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))

    runtime, dev = locked("requirements.txt"), locked("requirements-dev.txt")
    assert names(project["dependencies"]) <= set(runtime)
    assert names(project["optional-dependencies"]["dev"]) <= set(dev)
    assert runtime.items() <= dev.items(), "tests run on what is shipped"


def test_make_alone_lists_every_target_in_groups() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^  make ([a-z-]+) +\S", listed, re.MULTILINE)) == targets
    groups = [line for line in listed.splitlines() if line and not line.startswith(" ")]
    assert groups == ["Run it", "Ask it", "Check it", "Measure it", "Ship it"]


def test_a_machine_without_a_new_enough_python_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "deploy" / "local").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "local" / "setup.sh", tmp_path / "deploy" / "local")
    variables = {"PATH": "/usr/bin:/bin", "PYTHON": "/bin/false"}
    done = subprocess.run(["sh", "deploy/local/setup.sh"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()
