"""Files of endpoints as a kind of files to import: each row an update of endpoint-updates, each file once for ever and app."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.collect.outgoing import Sender
from pipeline.endpoints.files.bounds import bound_parts
from pipeline.endpoints.files.delimited import read_csv
from pipeline.endpoints.files.formats import detect_endpoint_format
from pipeline.endpoints.files.ndjson import read_ndjson
from pipeline.endpoints.files.updates import UpdateBuilder
from pipeline.imports.formats import Format
from pipeline.imports.kinds import Judge, Judged, Terms
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import StoredFile
from pipeline.imports.read import Content
from pipeline.imports.rows import Row, RowError
from pipeline.imports.unpack import unpack
from pipeline.topology import ENDPOINT_UPDATES

NOT_SHOWN = "(not shown)"


class EndpointFiles:
    """Kind of files: endpoints of one app. `wanted` is csv or json where only that is read; `again_id` marks an import that is done anew.

    `shows_values` is False while redaction is on: then nothing of a rejected row is written but its place, the field and the reason.
    """

    topic = ENDPOINT_UPDATES
    advice = "; --again imports it once more"

    def __init__(
        self, home: Path, app_id: str, bytes_max: int, wanted: str | None = None, again_id: str = "", shows_values: bool = True
    ) -> None:
        # Each app has its own: the same file goes into one app and into another.
        self.folder = home / "imports" / "endpoints" / app_id
        self.terms = Terms(None, app_id, "keep", app_id)
        self._app_id, self._bytes_max, self._wanted, self._again_id = app_id, bytes_max, wanted, again_id
        self._shows_values = shows_values

    @property
    def is_again(self) -> bool:
        return bool(self._again_id)

    def ledger_name(self, content_hash: str) -> str:
        return f"{content_hash}-again" if self.is_again else content_hash

    def key(self, content_hash: str, id_base: str) -> str:
        return f"{id_base if self.is_again else content_hash}/endpoints/{self._app_id}"

    def new_id_base(self, content_hash: str) -> str:
        return f"{content_hash}.{self._again_id}" if self.is_again else content_hash

    def detect(self, file: StoredFile) -> Format | None:
        return detect_endpoint_format(file, self._wanted)

    @contextmanager
    def open(self, file: StoredFile, file_format: Format) -> Iterator[Content]:
        with file.open() as stream:
            parts = unpack(stream, file.address, file_format.compression)
            if file_format.compression:
                parts = bound_parts(parts, file.address, file.size)
            rows = read_csv(file, parts) if file_format.kind == "csv" else read_ndjson(file, parts, self._shows_values)
            yield Content(rows, stream.tell)

    def judge(self, file: StoredFile, content: Content, id_base: str, outcome: Outcome) -> Judge:
        sender = Sender(time.time_ns() // 1_000_000, f"import:{file.name}")
        # Endpoints of rows without Id keep theirs when a file is imported again.
        builder = UpdateBuilder(self._app_id, id_base.partition(".")[0], id_base, sender, self._bytes_max)

        def judge(batch: Sequence[Row]) -> Iterator[Judged]:
            found = builder.build(batch)
            return found if self._shows_values else map(_without_value, found)

        return judge


def _without_value(judged: Judged) -> Judged:
    row, found = judged
    if isinstance(found, RowError):
        found.value = NOT_SHOWN
    return row, found
