"""Archives of events as a kind of files: stream records for raw-events, by a mapping or by what they are."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.imports.formats import Format, detect_format, is_known_name
from pipeline.imports.kinds import Judge, Judged, LeftOut, Terms
from pipeline.imports.mapping import Mapping
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import StoredFile
from pipeline.imports.read import Content, open_content
from pipeline.imports.records import RecordBuilder
from pipeline.imports.rows import FileError, Row, RowError
from pipeline.imports.seen import SeenRows
from pipeline.topology import RAW_EVENTS


@dataclass(frozen=True)
class ImportOptions:
    """How files are imported; the same for all files of a run."""

    mapping: Mapping | None = None
    app_id: str | None = None
    identical_rows: Literal["keep", "one"] = "keep"
    is_dry_run: bool = False
    shows_progress: bool = False


class EventFiles:
    """Kind of files: archives of events."""

    topic = RAW_EVENTS
    is_again = False
    advice = ""

    def __init__(self, folder: Path, options: ImportOptions) -> None:
        self.folder, self._options = folder, options
        mapping = options.mapping
        mapped_app = mapping.fields.get("app_id") if mapping else None
        self.terms = Terms(
            mapping.text if mapping else None,
            options.app_id,
            options.identical_rows,
            options.app_id or (mapped_app.constant if mapped_app else None),
        )

    def ledger_name(self, content_hash: str) -> str:
        return content_hash

    def key(self, content_hash: str, id_base: str) -> str:
        return content_hash

    def new_id_base(self, content_hash: str) -> str:
        return content_hash

    def detect(self, file: StoredFile) -> Format | None:
        try:
            found = detect_format(file, self._options.mapping is not None)
        except FileError:
            if file.is_named or is_known_name(file.name):
                raise
            return None
        return None if found.kind == "csv" and not file.is_named and not is_known_name(file.name) else found

    def open(self, file: StoredFile, file_format: Format) -> AbstractContextManager[Content]:
        return open_content(file, file_format, self._options.mapping)

    def judge(self, file: StoredFile, content: Content, id_base: str, outcome: Outcome) -> Judge:
        builder = RecordBuilder(id_base, file.name, self._options.app_id, self._options.mapping, content.shape)
        seen = SeenRows()

        def judge(batch: Sequence[Row]) -> Iterator[Judged]:
            are_identical = seen.mark([row.content for row in batch])
            for row, is_identical in zip(batch, are_identical, strict=True):
                outcome.identical += is_identical
                yield row, self._build(builder, row, is_identical, outcome)
            outcome.unmapped = dict(builder.unmapped)

        return judge

    def _build(self, builder: RecordBuilder, row: Row, is_identical: bool, outcome: Outcome) -> tuple[bytes, bytes] | RowError | LeftOut:
        try:
            sealed = builder.build(row)
        except RowError as error:
            return error
        outcome.see_time(sealed.event_timestamp)
        if is_identical and self._options.identical_rows == "one":
            return LeftOut()
        return sealed.key, sealed.value
