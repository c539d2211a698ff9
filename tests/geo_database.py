"""MaxMind's own test databases: fetched with the source of the locked maxminddb for a run of tests, and not kept."""

import hashlib
import importlib.metadata
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"
# 81.2.69.142 is in London there.
CITY, COUNTRY, ASN = "GeoIP2-City-Test.mmdb", "GeoIP2-Country-Test.mmdb", "GeoLite2-ASN-Test.mmdb"
IPV4_ONLY, DAMAGED = "MaxMind-DB-test-ipv4-24.mmdb", "GeoIP2-City-Test-Broken-Double-Format.mmdb"


@pytest.fixture(scope="session")
def geo_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the databases that are named here. They are read, never written: a test that replaces one copies it."""
    folder = tmp_path_factory.mktemp("maxminddb")
    source = _fetch_source(folder)
    with tarfile.open(source) as archive:
        for member in archive.getmembers():
            if Path(member.name).name in (CITY, COUNTRY, ASN, IPV4_ONLY, DAMAGED) and member.isfile():
                member.name = Path(member.name).name
                archive.extract(member, folder, filter="data")
    return folder


def _fetch_source(folder: Path) -> Path:
    version = importlib.metadata.version("maxminddb")
    wanted = f"maxminddb=={version}"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-binary", "maxminddb", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, wanted], check=True, timeout=120)
    (source,) = folder.glob("*.tar.gz")
    found = re.search(rf"^{re.escape(wanted)} \\\n((?:    --hash=sha256:\w+(?: \\)?\n)+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert found, f"requirements.txt does not lock {wanted}"
    assert hashlib.sha256(source.read_bytes()).hexdigest() in re.findall(r"sha256:(\w+)", found[1]), f"{source.name} is not what is locked"
    return source
