"""Versions: Python, every library against the lock, the compiled record reader, and the Java of the local stack."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import Requirement

from agents.native.build import find_compiler, library_file
from agents.native.library import load_library
from pipeline.doctor.check import REINSTALL, Case
from pipeline.doctor.finding import Finding, broken, ok, unchecked, warning
from pipeline.stack.java import find_java

PYTHON_MIN = (3, 11)
JAVA_MIN = 17
NAMED_MAX = 8


def check_python(case: Case) -> Iterator[Finding]:
    found = f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})"
    if sys.version_info >= PYTHON_MIN:
        yield ok("Python", found)
    else:
        yield broken("Python", found, "3.11 or newer", "rm -r .venv && make setup PYTHON=/path/to/python3.11")


def check_packages(case: Case) -> Iterator[Finding]:
    """Every library of requirements.txt that this machine needs, in the version that is locked."""
    if not case.lock.exists():
        yield unchecked("libraries", f"there is no lock {case.lock} beside the code")
        return
    locked = _read_lock(case.lock.read_text())
    differing = {name: found for name, wanted in locked.items() if (found := _installed(name)) != wanted}
    for name, found in list(differing.items())[:NAMED_MAX]:
        yield broken(f"library {name}", found or "not installed", f"{locked[name]}, as {case.lock.name} locks it", REINSTALL)
    if len(differing) > NAMED_MAX:
        yield broken("libraries", f"{len(differing) - NAMED_MAX} more differ", f"as {case.lock.name} locks them", REINSTALL)
    if not differing:
        yield ok("libraries", f"{len(locked)} as {case.lock.name} locks them")


def check_record_reader(case: Case) -> Iterator[Finding]:
    """The library that reads records is compiled from the sources as they stand, and loads; without it a worker compiles it first."""
    file = library_file()
    if not file.exists():
        compiler = " ".join(find_compiler())
        if compiler:
            yield warning("record reader", f"not compiled yet from these sources; {compiler} will when it is wanted", "compiled", REINSTALL)
        else:
            yield broken("record reader", "not compiled, and there is no C compiler (cc, gcc, clang)", "compiled", REINSTALL)
        return
    load_library()
    yield ok("record reader", f"compiled ({file.name})")


def check_java(case: Case) -> Iterator[Finding]:
    """The Java that runs Kafka and S3 of this machine."""
    if not (case.settings.kafka_is_local or case.settings.s3_is_local):
        yield ok("Java", "not needed: Kafka and S3 are elsewhere")
        return
    java = find_java(case.settings)
    said = subprocess.run([java, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False).stderr
    number = re.search(r'version "(\d+)', said)
    if number and int(number[1]) >= JAVA_MIN:
        yield ok("Java", f"{said.splitlines()[0]} ({java})")
    else:
        found = next(iter(said.splitlines()), "it said nothing")
        yield broken(
            "Java",
            f"{java} -version: {found}",
            f"{JAVA_MIN} or newer",
            "unset HEADWATER_LOCAL_JAVA to use the one that 'make setup' installed",
        )


def _read_lock(text: str) -> dict[str, str]:
    """Name and version of what a lock asks of this machine."""
    wanted = [Requirement(line.rstrip(" \\")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    here = [one for one in wanted if one.marker is None or one.marker.evaluate()]
    return {one.name: next(iter(one.specifier)).version for one in here}


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
