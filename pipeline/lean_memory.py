"""How memory is kept small, and looked through seldom: freed memory goes back to the system soon, threads share what is free."""

import ctypes
import gc
import os
import platform
import sys

# malloc.h: how many arenas there may be; by default eight for each core, and each keeps what its threads freed.
_M_ARENA_MAX = -8
_ARENAS_MAX = 2


def choose_arrow_pool() -> None:
    """To be called before Arrow is loaded, which reads this once: mimalloc, its default, keeps every thread's pages. `pyarrow.set_memory_pool` would not do: what compute functions allocate is not under it."""
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")


def share_arenas() -> None:
    """To be called before threads start."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS_MAX)


def exempt_what_is_loaded() -> None:
    """To be called once all is imported and built: the collector of cycles never looks at it again."""
    gc.collect()
    gc.freeze()


def collect_seldom() -> None:
    """For a process that makes many objects and hardly a cycle, as one that reads files: looking for cycles takes a fifth of its time."""
    exempt_what_is_loaded()
    gc.set_threshold(50_000, 20, 100)
