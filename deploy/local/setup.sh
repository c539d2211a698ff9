#!/bin/sh
# Makes .venv: Python 3.11 or newer, uv pinned by hash, the locked libraries, the compiled record reader, this checkout. `make setup` calls it when a lock has changed.
set -eu
cd "$(dirname "$0")/../.."

fail() {
    printf 'headwater: %s\n' "$1" >&2
    exit 2
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if [ -x .venv/bin/python ] && is_new_enough .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; then
    :
else
    python=
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if is_new_enough "$candidate"; then python=$candidate && break; fi
    done
    [ -n "$python" ] || fail "none of '${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}' is Python 3.11 or newer. Install it, or name it: make setup PYTHON=/path/to/python3.11"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "'$python' has no venv module; expected one that can make environments. On Debian and Ubuntu: apt install python3-venv"
    rm -rf .venv
    "$python" -m venv .venv || fail "'$python -m venv .venv' failed; see what it says above."
fi

.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/local/requirements-uv.txt ||
    fail "uv could not be installed; expected a package registry that pip reaches. See pip's network and proxy settings."
VIRTUAL_ENV=$PWD/.venv
export VIRTUAL_ENV
options=--quiet
[ ! -t 2 ] || options= # In a terminal uv shows its progress.
# Trust what the machine trusts, as pip does: a company's proxy has an authority of its own.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem /etc/pki/tls/cert.pem /etc/ssl/ca-bundle.pem; do
    if [ -s "$bundle" ]; then options="$options --system-certs" && break; fi
done
# Where Python is told to keep no bytecode, as in images of containers, each process would compile its libraries anew: over two seconds of CPU.
[ -z "${PYTHONDONTWRITEBYTECODE:-}" ] || options="$options --compile-bytecode"
echo "Installing what requirements-dev.txt locks into .venv" >&2
.venv/bin/uv pip sync $options --require-hashes requirements-dev.txt ||
    fail "the libraries could not be installed; see what uv says above: a package registry that it reaches is expected, and the locked files on it."
# The record reader is C: compiled by what the machine has, or else by a compiler that comes as a Python package.
if [ -z "${CC:-}" ] && ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
    echo "No C compiler here: installing the one that deploy/local/requirements-cc.txt locks" >&2
    .venv/bin/uv pip install $options --require-hashes -r deploy/local/requirements-cc.txt ||
        fail "no C compiler was found (CC, cc, gcc, clang), and the locked one could not be installed; see what uv says above."
fi
# CC may be several words.
.venv/bin/python -m agents.native.build ${CC:-} || fail "the record reader could not be compiled; see what it says above. Name another compiler: make setup CC=clang"
# The checkout itself: as it stands, built with what is locked, nothing fetched.
.venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
