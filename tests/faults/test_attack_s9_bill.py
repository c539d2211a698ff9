"""Attack S9: the bill of materials (SBOM) has everything that the locks have."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.pages.sbom import PYTHON_LOCKS, build_sbom
from pipeline.stack.artifacts import load_lock
from tests.faults.inputs.locked_python import locked_python
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule

ROOT = Path(__file__).parents[2]


def missing(document: dict[str, Any]) -> set[str]:
    """What the locks have and the document has not, with the same version and a hash of the lock."""
    listed = {each["purl"]: {found["content"] for found in each.get("hashes", [])} for each in document["components"]}
    lost = set()
    for lock in PYTHON_LOCKS:
        for pin, hashes in locked_python((ROOT / lock).read_text()).items():
            name, _, version = pin.partition("==")
            purl = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
            if not listed.get(purl, set()) >= set(hashes):
                lost.add(pin)
    for jars in load_lock().values():
        for jar in jars:
            purl = f"pkg:maven/{jar.group}/{jar.artifact}@{jar.version}" + (f"?classifier={jar.classifier}" if jar.classifier else "")
            if listed.get(purl) != {jar.sha256}:
                lost.add(str(jar))
    for place, library in json.loads((ROOT / "tests/clients/package-lock.json").read_text())["packages"].items():
        name = place.split("node_modules/")[-1].replace("@", "%40")
        if place and f"pkg:npm/{name}@{library['version']}" not in listed:
            lost.add(place)
    for line in (ROOT / "tests/clients/go/go.sum").read_text().splitlines():
        module, version, _ = line.split()
        if not version.endswith("/go.mod") and f"pkg:golang/{module}@{version}" not in listed:
            lost.add(module)
    return lost


def test_attack_s9_the_bill_of_materials_leaves_nothing_out(tmp_path: Path, proof: Proof) -> None:
    file = tmp_path / "sbom.json"
    subprocess.run([sys.executable, "-m", "pipeline.pages.sbom", str(file)], cwd=ROOT, check=True, capture_output=True)
    document = json.loads(file.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert missing(document) == set()
    refs = [each["bom-ref"] for each in document["components"]]
    assert len(refs) == len(set(refs))
    assert set(document["dependencies"][0]["dependsOn"]) <= set(refs)
    # What is installed here is what is listed.
    from importlib.metadata import distributions

    listed = {(each["name"].replace("_", "-"), each["version"]) for each in document["components"] if each["purl"].startswith("pkg:pypi/")}
    own = {"headwater", "pip", "setuptools"}
    found = {(each.metadata["Name"].lower().replace("_", "-").replace(".", "-"), each.version) for each in distributions()}
    plain = {(name.replace(".", "-"), version) for name, version in listed}
    assert {each for each in found if each[0] not in own} - plain == set()
    proof.note(components=len(refs), injections=0)


def test_attack_s9_a_bill_of_materials_that_lacks_one_is_found_control(schedule: Schedule, proof: Proof) -> None:
    document = build_sbom()
    document["components"].remove(schedule.chance.choice([each for each in document["components"] if each["scope"] == "required"]))
    proof.show(f"found missing: {', '.join(missing(document))}" if missing(document) else "")
