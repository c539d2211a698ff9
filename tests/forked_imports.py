"""What the process that commands are forked from has loaded: all that `headwater` may import, and Arrow with the pool that `headwater` chooses."""

import importlib
import sys

from pipeline.cli import COMMANDS
from pipeline.lean_memory import choose_arrow_pool

choose_arrow_pool()
# DuckDB takes a program without a file for a person at a keyboard, and shows on standard output how far it is.
sys.modules["__main__"].__file__ = __file__
for module, _, _ in COMMANDS.values():
    importlib.import_module(f"pipeline.commands.{module}")
