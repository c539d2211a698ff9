"""The landing stream of endpoint updates: settings made into the rules of its steps."""

from dataclasses import replace

from agents.dedup.identity import ENDPOINT_UPDATES
from agents.dedup.window import MemoryBudget
from agents.dedup.windows import Windows
from agents.deduplicate import DedupRules
from agents.endpoint_steps import EndpointRules, EndpointSteps
from agents.redact import RedactRules
from agents.redact_names import fold_name
from agents.validate import ValidateRules
from pipeline.config import Settings
from pipeline.event_stream import build_connection, build_redact_rules
from sinks.lake import LakeTable

# Members of an update whose value is no free text: a hash cannot stand there.
_NOT_TEXT = (
    *("attributes", "channel_type", "cohort_id", "creation_date", "demographic", "effective_date", "endpoint_status"),
    *("latitude", "location", "longitude", "metrics", "opt_out", "user", "user_attributes", "attribute_type", "names", "operation"),
)


def build_endpoint_steps(settings: Settings, table: LakeTable, budget: MemoryBudget) -> EndpointSteps:
    """The steps whose rows land in `table`, and their dedup windows, which are filled from its rows: there are fewer of them than of events.

    Raises SettingError and UsageError for settings that cannot be used.
    """
    rules, connection = build_endpoint_rules(settings), build_connection()
    window_secs = settings.dedup_window_hours * 3600
    windows = Windows(table, connection, settings.home / "spill", budget, window_secs, identity=ENDPOINT_UPDATES)
    return EndpointSteps(rules, windows, connection)


def build_endpoint_rules(settings: Settings) -> EndpointRules:
    """Settings made into the rules of the steps: those of events.

    Raises SettingError and UsageError for settings that cannot be used.
    """
    redact = as_update_rules(build_redact_rules(settings))
    return EndpointRules(
        redact=redact,
        validate=ValidateRules(settings.message_bytes_max, keeps_unreadable=not redact.is_on),
        deduplicate=DedupRules(settings.dedup_window_hours * 3600, settings.dedup_bytes_kept),
        is_dedup_on=settings.dedup_enabled,
        client_address=settings.client_address,
    )


def as_update_rules(rules: RedactRules) -> RedactRules:
    """The rules for updates: where a hash would make an update invalid, a name that is to be hashed is removed."""
    not_text = {fold_name(name) for name in _NOT_TEXT}
    moved = frozenset(name for name in rules.hashed if fold_name(name) in not_text)
    return replace(rules, removed=rules.removed | moved, hashed=rules.hashed - moved) if moved else rules
