"""An API without a guard: `python -m tests.faults.rig.fault_api`. Environment: FAULT_GUARDS_OFF as in guards/."""

import os

from pipeline.commands import serve
from tests.faults import guards

guards.remove(os.environ["FAULT_GUARDS_OFF"])
app = serve.app
