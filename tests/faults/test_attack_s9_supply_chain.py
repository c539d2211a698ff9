"""Attack S9: nothing runs that is not locked. Every lock pins by hash, and what was altered is refused."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest import mock

import pytest
from jgo.maven import MavenContext

from pipeline.pages.sbom import PYTHON_LOCKS
from pipeline.stack import artifacts
from pipeline.stack.artifacts import Artifact, fetch_artifacts, load_lock
from schemas.errors import UnavailableError
from tests.faults.inputs.locked_python import locked_python
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule

ROOT = Path(__file__).parents[2]


def unpinned(root: Path) -> list[str]:
    """What the locks under a folder would let be anything."""
    found = []
    for lock in PYTHON_LOCKS:
        pins = locked_python((root / lock).read_text())
        assert pins, lock
        found += [
            f"{lock}: {pin}" for pin, hashes in pins.items() if "==" not in pin or not hashes or not all(len(each) == 64 for each in hashes)
        ]
    for program, jars in load_lock(root / "deploy/local/artifacts.json").items():
        found += [f"{program}: {jar}" for jar in jars if not re.fullmatch(r"[0-9a-f]{64}", jar.sha256) or jar.bytes <= 0]
    node = json.loads((root / "tests/clients/package-lock.json").read_text())["packages"]
    found += [f"npm: {name}" for name, library in node.items() if name and not library.get("integrity", "").startswith("sha512-")]
    required = re.findall(r"^\s+(\S+) (v\S+)", (root / "tests/clients/go/go.mod").read_text(), re.MULTILINE)
    summed = {tuple(line.split()[:2]) for line in (root / "tests/clients/go/go.sum").read_text().splitlines() if " h1:" in line}
    return found + [f"go: {module} {version}" for module, version in required if (module, version) not in summed]


def test_attack_s9_every_lock_pins_everything_by_hash(proof: Proof) -> None:
    assert unpinned(ROOT) == []
    proof.note(
        python_pins=sum(len(locked_python((ROOT / lock).read_text())) for lock in PYTHON_LOCKS),
        jars=sum(map(len, load_lock().values())),
        injections=0,
    )


def test_attack_s9_every_file_of_requirements_is_known_to_this_test() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    locks = [name for name in tracked if re.search(r"requirements[^/]*\.txt$|-lock\.json$|go\.sum$|\.lock$|artifacts\.json$", name)]
    assert set(locks) == {*PYTHON_LOCKS, "deploy/local/artifacts.json", "tests/clients/package-lock.json", "tests/clients/go/go.sum"}


def test_attack_s9_a_lock_line_without_its_hash_is_found_control(tmp_path: Path, schedule: Schedule, proof: Proof) -> None:
    for name in [
        *PYTHON_LOCKS,
        "deploy/local/artifacts.json",
        "tests/clients/package-lock.json",
        "tests/clients/go/go.mod",
        "tests/clients/go/go.sum",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    lock = tmp_path / "requirements.txt"
    pin = schedule.chance.choice(sorted(locked_python(lock.read_text())))
    lock.write_text(re.sub(rf"^{re.escape(pin)}\b.*\n(    --hash.*\n)+", f"{pin}\n", lock.read_text(), flags=re.MULTILINE))
    sums = tmp_path / "tests/clients/go/go.sum"
    sums.write_text("\n".join(line for line in sums.read_text().splitlines() if "/credentials v" not in line))
    proof.show(f"found: {', '.join(unpinned(tmp_path))}" if len(unpinned(tmp_path)) == 2 else "")


# What an installer does with a file that is another than the lock says.


def build_wheel(folder: Path) -> Path:
    """A library of one line, which is nobody's."""
    wheel = folder / "headwater_altered-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("headwater_altered.py", "ALTERED = True\n")
        file.writestr("headwater_altered-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: headwater-altered\nVersion: 1.0\n")
        file.writestr(
            "headwater_altered-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        names = ["headwater_altered.py", "headwater_altered-1.0.dist-info/METADATA", "headwater_altered-1.0.dist-info/WHEEL"]
        file.writestr("headwater_altered-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return wheel


def install(folder: Path, digest: str, *options: str) -> tuple[bool, str]:
    """As setup.sh does it, from this folder in place of a registry, with a hash in the lock: whether it is installed, what was said."""
    lock, target = folder / "lock.txt", folder / f"target-{digest[:6]}-{len(options)}"
    lock.write_text(f"headwater-altered==1.0{f' --hash=sha256:{digest}' if digest else ''}\n")
    uv = Path(sys.executable).parent / "uv"
    command = [uv, "pip", "install", "--no-index", "--find-links", folder, "--target", target, "--no-cache", *options, "-r", lock]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    return (target / "headwater_altered.py").exists(), done.stderr


def test_attack_s9_a_library_that_is_not_the_locked_one_is_not_installed(tmp_path: Path, proof: Proof) -> None:
    wheel = build_wheel(tmp_path)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    refused = [install(tmp_path, wrong, "--require-hashes") for wrong in ("0" * 64, "")]
    assert [is_installed for is_installed, _ in refused] == [False, False]
    assert "hash mismatch" in refused[0][1].lower()
    assert install(tmp_path, digest, "--require-hashes")[0], "the locked one is"
    setup = (ROOT / "deploy/local/setup.sh").read_text()
    installs = re.findall(r"^.*(?:pip install|pip sync).*$", setup, re.MULTILINE)
    assert len(installs) == 4
    assert [line for line in installs if "--require-hashes" not in line] == [
        line for line in installs if "--no-deps --no-build-isolation" in line
    ]
    proof.note(injections=2)


def test_attack_s9_without_hashes_an_altered_library_is_installed_control(tmp_path: Path, proof: Proof) -> None:
    build_wheel(tmp_path)
    is_installed, _ = install(tmp_path, "")
    proof.show("without --require-hashes the altered library was installed" if is_installed else "")


@pytest.fixture
def altered(tmp_path: Path, schedule: Schedule) -> tuple[Artifact, MavenContext]:
    """A jar in the cache that has the length of the locked one, and one byte of another."""
    body = schedule.chance.randbytes(4000)
    jar = Artifact("org.example", "thing", "1.0", "", len(body), hashlib.sha256(body).hexdigest())
    cached = tmp_path / "cache/org/example/thing/1.0/thing-1.0.jar"
    cached.parent.mkdir(parents=True)
    place = schedule.chance.randrange(len(body))
    cached.write_bytes(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
    (tmp_path / "nothing").mkdir()
    # A repository that answers nothing: what is in the cache is all that there is.
    return jar, MavenContext(repo_cache=tmp_path / "cache", remote_repos={"here": "http://127.0.0.1:9"}, timeout=1)


def test_attack_s9_an_altered_jar_is_not_run(altered: tuple[Artifact, MavenContext], proof: Proof) -> None:
    jar, context = altered
    with pytest.raises(UnavailableError, match="could not be downloaded"):
        fetch_artifacts([jar], context)
    proof.note(injections=1)


def test_attack_s9_without_the_sum_an_altered_jar_is_run_control(altered: tuple[Artifact, MavenContext], proof: Proof) -> None:
    jar, context = altered
    with mock.patch.object(artifacts, "_is_intact", lambda path, artifact: path.exists()):
        [path] = fetch_artifacts([jar], context)
    proof.show(
        "without the check of its sum the altered jar was taken" if hashlib.sha256(path.read_bytes()).hexdigest() != jar.sha256 else ""
    )
