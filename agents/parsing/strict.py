"""The strict reading of many values: the documents that fit the stream record, and a verdict on each of the others."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from agents.parsing.exact_json import Unreadable, parse_counted, write_json
from agents.parsing.fit import Unfit, fit_record
from agents.parsing.verdict import Verdict


@dataclass(frozen=True)
class StrictReading:
    """For each value that fits: its row, what the columns take as JSON text, and `extra` as JSON text; verdicts on the others."""

    rows: list[int] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    extras: list[str | None] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)


def read_strictly(values: Iterable[tuple[int, bytes | None]], quotes_unreadable: bool) -> StrictReading:
    """Read values, each with its row.

    `quotes_unreadable` is False while redaction is on: then the error of a value that cannot be read quotes nothing of it.
    """
    reading = StrictReading()
    for row, value in values:
        try:
            fitted = fit_record(parse_counted(value or b""))
        except Unreadable as error:
            said = error.error if quotes_unreadable else error.bare_error
            reading.verdicts.append(Verdict(row, error.reason, said, is_readable=False))
        except Unfit as error:
            reading.verdicts.append(Verdict(row, error.reason, error.error, error.known))
        else:
            reading.rows.append(row)
            reading.documents.append(write_json(fitted.columns))
            reading.extras.append(None if fitted.extra is None else write_json(fitted.extra))
    return reading
