"""The landing stream of what the collector refused: settings made into the rules of its steps."""

from agents.dedup.window import MemoryBudget
from agents.rejected_steps import RejectedRules, RejectedSteps
from pipeline.config import Settings
from pipeline.event_stream import build_redact_rules
from sinks.lake import LakeTable


def build_rejected_steps(settings: Settings, table: LakeTable, budget: MemoryBudget) -> RejectedSteps:
    """The steps whose dead letters land beside `table`; redaction and the size that is kept are those of events. They need no windows.

    Raises SettingError and UsageError for settings that cannot be used.
    """
    return RejectedSteps(RejectedRules(build_redact_rules(settings), settings.message_bytes_max))
