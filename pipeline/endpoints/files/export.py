"""The export of an app's endpoints: the merged state at one version of the lake, as files that the import reads again."""

import gzip
import io
import json
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import IO, Any, BinaryIO

from pipeline.ask.reader import Reader, open_reader
from pipeline.config import Settings
from pipeline.definitions.checks import check_app_id
from pipeline.endpoints.files.folder import LOCK, Folder, open_folder
from pipeline.endpoints.files.write import CsvWriter, NdjsonWriter, Writer, find_columns
from pipeline.endpoints.pinpoint_json import endpoint_json
from schemas.errors import HeadwaterError, UsageError

PART_ROWS = 250_000
_BATCH_ROWS = 2000
# Its name begins with _: the import passes it over.
NOTE = "_export"
_PART = re.compile(r"part-\d{5}-[0-9a-f]{8}\.(json|csv)\.gz|\.(part-\d{5}-[0-9a-f]{8}\.(json|csv)\.gz|_export)\.new")


@dataclass
class Exported:
    """What an export wrote. `reduced` endpoints hold something that CSV cannot; the NDJSON form holds all.

    `attempt` stands in the names of its files, so that no other export writes over them.
    """

    app_id: str
    address: str
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    rows: int = 0
    reduced: int = 0
    is_finished: bool = False
    files: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


OnPart = Callable[[Exported], None]
Confirm = Callable[[], None]


class FolderTakenError(UsageError):
    """Another export writes into the folder now: what this one wrote is gone."""


def export_endpoints(
    settings: Settings,
    app_id: str,
    address: str,
    is_csv: bool = False,
    on_part: OnPart | None = None,
    part_rows: int = PART_ROWS,
    confirm: Confirm | None = None,
) -> Exported:
    """Write every endpoint of an app, ordered by id, into an empty folder or prefix.

    Each part appears under its name whole or not at all. An export that was killed starts over in the same folder. `on_part` hears
    after each batch of rows, `confirm` before anything in the folder is changed: what they raise ends the export.

    Raises UsageError for a folder that holds something else, or lies in the lake, or that another export has taken over.
    """
    check_app_id(app_id)
    folder = open_folder(settings, address)
    exported = Exported(app_id, folder.address)
    with folder.hold():
        guard = _Guard(folder, exported, confirm)
        _require_room(folder, app_id)
        guard.begin()
        with open_reader(settings) as reader:
            writer: Writer = CsvWriter(find_columns(reader, app_id)) if is_csv else NdjsonWriter()
            for part in _parts(_endpoints(reader, app_id), part_rows):
                with tempfile.TemporaryFile(prefix="headwater-export-") as file:
                    _write_part(file, writer, part, exported, on_part)
                    name = f"part-{len(exported.files):05}-{exported.attempt}{writer.suffix}.gz"
                    guard.put(name, file)
        exported.reduced = writer.reduced
        guard.finish()
    return exported


class _Guard:
    """Changes the folder only while it is this export's: by whoever `confirm` asks, and by the note, which names the attempt that has it.

    One that was paused, while another took its place, finds that out at its next step and takes its own parts away.
    """

    def __init__(self, folder: Folder, exported: Exported, confirm: Confirm | None) -> None:
        self._folder, self._exported, self._confirm = folder, exported, confirm

    def begin(self) -> None:
        if self._confirm is not None:
            self._confirm()
        _note(self._folder, self._exported)

    def put(self, name: str, content: BinaryIO) -> None:
        self._require_hold()
        self._folder.put(name, content)
        self._exported.files.append(name)
        # The pause may have been in the writing itself.
        self._require_hold()

    def finish(self) -> None:
        self._require_hold()
        self._folder.delete([name for name in self._folder.list_names() if _PART.fullmatch(name) and name not in self._exported.files])
        self._require_hold()
        self._exported.is_finished = True
        _note(self._folder, self._exported)

    def _require_hold(self) -> None:
        try:
            if self._confirm is not None:
                self._confirm()
            _require_note(self._folder, self._exported)
        except FolderTakenError:
            self._folder.delete(self._exported.files)
            raise
        except HeadwaterError:
            if _is_anothers(self._folder, self._exported):
                self._folder.delete(self._exported.files)
            raise


def find_export(settings: Settings, address: str) -> Exported | None:
    """What was written into a folder, where an export of ours was; None where none was begun."""
    folder = open_folder(settings, address)
    return Exported(**json.loads(folder.get(NOTE))) if NOTE in folder.list_names() else None


def _endpoints(reader: Reader, app_id: str) -> Iterator[dict[str, Any]]:
    answer = reader.execute("select * from core.endpoints where app_id = $app_id order by endpoint_id", {"app_id": app_id})
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


def _require_room(folder: Folder, app_id: str) -> None:
    """Raises UsageError when there is anything but what an export of this app, which was killed, left behind."""
    names = folder.list_names()
    ours = [name for name in names if _PART.fullmatch(name)]
    strangers = [name for name in names if name not in ours and name not in {NOTE, LOCK}]
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


def _is_unfinished(folder: Folder, app_id: str) -> bool:
    note = _read_note(folder)
    return note.get("app_id") == app_id and note.get("is_finished") is False


def _require_note(folder: Folder, exported: Exported) -> None:
    if _is_anothers(folder, exported):
        raise FolderTakenError(
            f"Folder '{folder.address}' was taken over by another export while this one ran, and holds that one's files; expected one "
            "export at a time: name another folder."
        )


def _is_anothers(folder: Folder, exported: Exported) -> bool:
    return _read_note(folder).get("attempt") != exported.attempt


def _read_note(folder: Folder) -> dict[str, Any]:
    try:
        note = json.loads(folder.get(NOTE))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _note(folder: Folder, exported: Exported) -> None:
    folder.put(NOTE, io.BytesIO(json.dumps(exported.as_json(), indent=1).encode()))
