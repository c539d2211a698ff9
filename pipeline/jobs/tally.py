"""What a job has done so far, piece by piece, and as the columns of its row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.imports.outcome import FIRST_REJECTED
from pipeline.jobs.records import Job


@dataclass
class Piece:
    """One file of a job. `status`: started, completed, failed, passed_over (not of the format that the job names)."""

    status: str = "started"
    processed: int = 0
    failures: int = 0
    said: list[str] = field(default_factory=list)


class Tally:
    """The pieces of one job: what an earlier run of it did is taken over."""

    def __init__(self, job: Job) -> None:
        self.pieces = {address: Piece(**found) for address, found in job.pieces.items()}
        self.found, self.report_address = job.total_pieces, job.report_address
        self.failure = ""

    def piece(self, address: str) -> Piece:
        return self.pieces.setdefault(address, Piece())

    def say(self, piece: Piece, texts: Sequence[str]) -> None:
        """What is said of a piece, in place of what was; no more than there is room for, of a hundred in the whole job."""
        piece.said = []
        piece.said = list(texts[: max(0, FIRST_REJECTED - sum(len(other.said) for other in self.pieces.values()))])

    def count(self, status: str) -> int:
        return sum(piece.status == status for piece in self.pieces.values())

    def columns(self) -> Mapping[str, Any]:
        """Columns of the job's row."""
        return {
            "total_pieces": self.found - self.count("passed_over"),
            "completed_pieces": self.count("completed"),
            "failed_pieces": self.count("failed"),
            "total_processed": sum(piece.processed for piece in self.pieces.values()),
            "total_failures": sum(piece.failures for piece in self.pieces.values()),
            "failures_json": json.dumps(self._failures()),
            "pieces_json": json.dumps({address: asdict(piece) for address, piece in self.pieces.items()}),
            "report_address": self.report_address,
        }

    def _failures(self) -> list[str]:
        """The first hundred texts, as Pinpoint has it; where rows were rejected the last of them says where all stand."""
        several = len(self.pieces) > 1
        said = [self.failure] if self.failure else []
        for address, piece in self.pieces.items():
            said += [f"{address}: {text}" if several else text for text in piece.said]
        if self.report_address is None:
            return said[:FIRST_REJECTED]
        return [*said[: FIRST_REJECTED - 1], f"every rejected row stands in {self.report_address}"]
