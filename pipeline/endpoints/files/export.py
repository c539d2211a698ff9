"""The export of an app's endpoints: the merged state at one version of the lake, as files that the import reads again."""

import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from pipeline.ask.reader import Reader, open_reader
from pipeline.config import Settings
from pipeline.definitions.checks import check_app_id
from pipeline.endpoints.files.folder import Folder, open_folder
from pipeline.endpoints.files.write import CsvWriter, NdjsonWriter, Writer, find_columns
from pipeline.endpoints.pinpoint_json import endpoint_json
from schemas.errors import UsageError

PART_ROWS = 250_000
_BATCH_ROWS = 2000
# Its name begins with _: the import passes it over.
NOTE = "_export"
_PART = re.compile(r"part-\d{5}\.(json|csv)\.gz|\.(part-\d{5}\.(json|csv)\.gz|_export)\.new")


@dataclass
class Exported:
    """What an export wrote. `reduced` endpoints hold something that CSV cannot; the NDJSON form holds all."""

    app_id: str
    address: str
    rows: int = 0
    reduced: int = 0
    is_finished: bool = False
    files: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


OnPart = Callable[[Exported], None]


def export_endpoints(
    settings: Settings, app_id: str, address: str, is_csv: bool = False, on_part: OnPart | None = None, part_rows: int = PART_ROWS
) -> Exported:
    """Write every endpoint of an app, ordered by id, into an empty folder or prefix.

    Each part appears under its name whole or not at all. An export that was killed starts over in the same folder. `on_part` hears
    after each batch of rows; what it raises ends the export.

    Raises UsageError for a folder that holds something else, or lies in the lake.
    """
    check_app_id(app_id)
    folder = open_folder(settings, address)
    exported = Exported(app_id, folder.address)
    earlier = _require_room(folder, app_id)
    _note(folder, exported)
    with open_reader(settings) as reader:
        writer: Writer = CsvWriter(find_columns(reader, app_id)) if is_csv else NdjsonWriter()
        for part in _parts(_endpoints(reader, app_id), part_rows):
            with tempfile.TemporaryFile(prefix="headwater-export-") as file:
                _write_part(file, writer, part, exported, on_part)
                name = f"part-{len(exported.files):05}{writer.suffix}.gz"
                folder.put(name, file)
            exported.files.append(name)
    exported.reduced = writer.reduced
    folder.delete([name for name in earlier if name not in exported.files])
    exported.is_finished = True
    _note(folder, exported)
    return exported


def find_export(settings: Settings, address: str) -> Exported | None:
    """What was written into a folder, where an export of ours was; None where none was begun."""
    folder = open_folder(settings, address)
    return Exported(**json.loads(folder.get(NOTE))) if NOTE in folder.list_names() else None


def _endpoints(reader: Reader, app_id: str) -> Iterator[dict[str, Any]]:
    answer = reader.con.execute("select * from core.endpoints where app_id = $app_id order by endpoint_id", {"app_id": app_id})
    for batch in answer.to_arrow_reader(_BATCH_ROWS):
        for row in batch.to_pylist():
            yield endpoint_json(row)


def _parts(endpoints: Iterator[dict[str, Any]], part_rows: int) -> Iterator[Iterator[dict[str, Any]]]:
    """The endpoints in parts, each of which is read to its end before the next begins; no endpoints make one empty part."""
    following = next(endpoints, None)
    is_first = True

    def part() -> Iterator[dict[str, Any]]:
        nonlocal following
        for _ in range(part_rows):
            if following is None:
                return
            yield following
            following = next(endpoints, None)

    while following is not None or is_first:
        is_first = False
        yield part()


def _write_part(file: IO[bytes], writer: Writer, part: Iterator[dict[str, Any]], exported: Exported, on_part: OnPart | None) -> None:
    # Without a name and a time in it the same endpoints make the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed:
        packed.write(writer.begin())
        for endpoint in part:
            packed.write(writer.write(endpoint))
            exported.rows += 1
            if on_part is not None and exported.rows % _BATCH_ROWS == 0:
                on_part(exported)
    file.seek(0)


def _require_room(folder: Folder, app_id: str) -> list[str]:
    """Files that an export of this app, which was killed, left behind. Raises UsageError when there is anything else."""
    names = folder.list_names()
    ours = [name for name in names if _PART.fullmatch(name)]
    strangers = [name for name in names if name not in ours and name != NOTE]
    if NOTE not in names:
        # A note that was being written when the export was killed is no stranger.
        strangers += [name for name in ours if not name.startswith(".")]
    elif not strangers and not _is_unfinished(folder, app_id):
        strangers = [NOTE]
    if strangers:
        raise UsageError(
            f"Folder '{folder.address}' holds '{strangers[0]}'; expected an empty one, or one in which an export of app '{app_id}' was "
            "killed: name another."
        )
    return ours


def _is_unfinished(folder: Folder, app_id: str) -> bool:
    try:
        note = json.loads(folder.get(NOTE))
    except ValueError:
        return False
    return isinstance(note, dict) and note.get("app_id") == app_id and note.get("is_finished") is False


def _note(folder: Folder, exported: Exported) -> None:
    folder.put(NOTE, io.BytesIO(json.dumps(exported.as_json(), indent=1).encode()))
