"""What is in it: a software bill of materials (CycloneDX 1.6, JSON) from the locks, as `python -m pipeline.pages.sbom [FILE]`; no network.

The locks say all: name, version and hash of whatever is installed. What ships is `required`; what only builds, tests or measures is `excluded`.
"""

import argparse
import base64
import datetime as dt
import json
import re
import tomllib
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.stack.artifacts import load_lock

ROOT = Path(__file__).parents[2]
FILE = ROOT / "build" / "sbom.cdx.json"
# Locks of Python libraries, and whether what they lock ships.
PYTHON_LOCKS = {
    "requirements.txt": True,
    "deploy/local/requirements-uv.txt": True,
    "deploy/local/requirements-cc.txt": True,
    "deploy/local/example-requirements.txt": True,
    "requirements-dev.txt": False,
    "tests/bench/requirements.txt": False,
    "tests/clients/requirements.txt": False,
}
NODE_LOCK, GO_LOCK = "tests/clients/package-lock.json", "tests/clients/go/go.sum"

Component = dict[str, Any]


def build_sbom() -> dict[str, Any]:
    """The document; each package once, by its purl."""
    components: dict[str, Component] = {}
    for component in (*_python_libraries(), *_jars(), *_node_libraries(), *_go_modules()):
        # What ships comes first, and stays what it is.
        components.setdefault(component["purl"], component)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = {"type": "application", "bom-ref": "headwater", "name": project["name"], "version": project["version"]}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "component": own | {"licenses": [{"license": {"id": project["license"]}}]},
        },
        "components": [components[purl] for purl in sorted(components)],
        "dependencies": [
            {"ref": "headwater", "dependsOn": sorted(purl for purl, each in components.items() if each["scope"] == "required")}
        ],
    }


def _component(kind: str, group: str, name: str, version: str, lock: str, is_shipped: bool, hashes: list[dict[str, str]]) -> Component:
    path = "/".join(urllib.parse.quote(part, safe="") for part in (*group.split("/"), name) if part)
    purl = f"pkg:{kind}/{path}@{urllib.parse.quote(version, safe='')}"
    found: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    found |= {"group": group} if group else {}
    # A library has a file for each platform; the hashes are those of all that the lock takes.
    found |= {"hashes": hashes} if hashes else {}
    return found | {"scope": "required" if is_shipped else "excluded", "properties": [{"name": "headwater:lock", "value": lock}]}


def _python_libraries() -> Iterator[Component]:
    for lock, is_shipped in PYTHON_LOCKS.items():
        for block in re.split(r"^(?=[A-Za-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE):
            if pin := re.match(r"([A-Za-z0-9.\-_]+)==([^\s;\\]+)", block):
                hashes = [{"alg": "SHA-256", "content": digest} for digest in re.findall(r"--hash=sha256:([0-9a-f]{64})", block)]
                yield _component("pypi", "", pin[1].lower(), pin[2], lock, is_shipped, hashes)


def _jars() -> Iterator[Component]:
    for artifacts in load_lock().values():
        for jar in artifacts:
            hashes = [{"alg": "SHA-256", "content": jar.sha256}]
            found = _component("maven", jar.group, jar.artifact, jar.version, "deploy/local/artifacts.json", True, hashes)
            if jar.classifier:
                found["purl"] = found["bom-ref"] = f"{found['purl']}?classifier={jar.classifier}"
            yield found


def _node_libraries() -> Iterator[Component]:
    for place, library in json.loads((ROOT / NODE_LOCK).read_text())["packages"].items():
        if place:
            group, _, name = place.rpartition("node_modules/")[2].rpartition("/")
            digest = base64.b64decode(library["integrity"].removeprefix("sha512-")).hex()
            yield _component("npm", group, name, library["version"], NODE_LOCK, False, [{"alg": "SHA-512", "content": digest}])


def _go_modules() -> Iterator[Component]:
    for line in (ROOT / GO_LOCK).read_text().splitlines():
        module, version, digest = line.split()
        if not version.endswith("/go.mod"):
            group, _, name = module.rpartition("/")
            found = _component("golang", group, name, version, GO_LOCK, False, [])
            # Go's hash is of a module's list of files, and no file's own.
            found["properties"].append({"name": "headwater:go.sum", "value": digest})
            yield found


def main() -> None:
    """Write the document, and say how much is in it."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.pages.sbom", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=FILE, help=f"where it is written; {FILE} unless given")
    file = parser.parse_args().file
    file.parent.mkdir(parents=True, exist_ok=True)
    document = build_sbom()
    file.write_text(json.dumps(document, indent=1) + "\n")
    shipped = sum(each["scope"] == "required" for each in document["components"])
    print(f"{file}: {len(document['components']):,} components, {shipped:,} of them ship")


if __name__ == "__main__":
    main()
