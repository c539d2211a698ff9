"""The layers of queries/: which folder may read which, and the error of a file that breaks a rule of its folder."""

from pathlib import Path

from schemas.errors import UsageError

FOLDER = Path(__file__).parent.parent.parent / "queries"

# A layer reads its own and those below it. kpis and segments stand side by side: neither reads the other.
# Macros stand on core. One of values alone may be called everywhere, whatever its height here.
LAYERS = {"staging": 0, "core": 1, "macros": 2, "kpis": 3, "segments": 3, "checks": 4}
MACROS = "macros"
VIEW_LAYERS = tuple(layer for layer in LAYERS if layer != MACROS)
# How files of checks/ are called.
CHECK_PREFIX = "assert_"
LAKE = "lake"
SETTINGS = "settings"


class ViewError(UsageError):
    """A file of queries/ breaks a rule of its folder."""


def may_read(layer: str, other: str) -> bool:
    """Whether a file of `layer` may name one of the layer `other`."""
    return layer == other or LAYERS[other] < LAYERS[layer]
