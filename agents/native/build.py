"""Compiles the C sources of this folder into one library, named by a hash of what it is made of; `make setup` calls it.

The compiler is the machine's (cc, gcc or clang, or what `make setup CC=..` names); where there is none, the one that the wheel ziglang carries. No header of
Python is needed: the library is called through ctypes.
"""

import hashlib
import importlib.util
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from schemas.errors import UnavailableError

FOLDER = Path(__file__).parent
OUTPUT = FOLDER / "build"
_FLAGS = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")


def library_file() -> Path:
    """Where the library of these sources lies, made or not."""
    made_of = [f"{platform.system()} {platform.machine()}", *_FLAGS]
    made_of += [f"{path.name}\n{path.read_text()}" for path in sorted(FOLDER.glob("*.[ch]"))]
    return OUTPUT / f"headwater-{hashlib.sha256(chr(0).join(made_of).encode()).hexdigest()[:16]}.so"


def build_library(compiler: Sequence[str] = ()) -> Path:
    """Compile, by the command given or by what the machine has, unless it was done already; several processes may do it at once.

    Raises UnavailableError when there is no compiler, or when it fails.
    """
    target = library_file()
    if target.exists():
        return target
    compiler = compiler or find_compiler()
    if not compiler:
        raise UnavailableError(
            "The record reader is not compiled, and no C compiler was found (cc, gcc, clang, or the Python package ziglang); run 'make setup'."
        )
    try:
        _compile(compiler, target)
    except OSError as error:
        raise UnavailableError(
            f"The record reader is not compiled, and cannot be into '{OUTPUT}' ({error.strerror}); run 'make setup' as somebody who may write there."
        ) from None
    return target


def _compile(compiler: Sequence[str], target: Path) -> None:
    OUTPUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUTPUT) as folder:
        made = Path(folder) / target.name
        command = [*compiler, *_FLAGS, *map(str, sorted(FOLDER.glob("*.c"))), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(f"The record reader could not be compiled; '{shlex.join(command)}' says:\n{done.stderr.strip()}")
        made.rename(target)


def find_compiler() -> list[str]:
    """The command that compiles C; empty when there is none."""
    for name in ("cc", "gcc", "clang"):
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    return []


if __name__ == "__main__":
    try:
        build_library(sys.argv[1:])
    except UnavailableError as error:
        sys.exit(f"headwater: {error}")
