"""A partition added to a known topic begins at its beginning. Without this guard it begins where HEADWATER_START_OFFSET says, as a new topic's do."""

from unittest import mock

from agents.land import Candidate, Landing


def _choose_by_policy(self: Landing, candidate: Candidate, transactions: dict[str, int]) -> int:
    return candidate.latest if self.start_offset == "latest" else candidate.earliest


def remove() -> None:
    mock.patch.object(Landing, "_choose_start", _choose_by_policy).start()
