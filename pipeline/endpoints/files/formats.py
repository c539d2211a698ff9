"""Whether a file of endpoints is CSV or NDJSON: its name makes a claim, its first bytes decide."""

from pipeline.imports.formats import Format, detect_format, is_known_name
from pipeline.imports.places import StoredFile
from pipeline.imports.rows import FileError

NAMES = {"csv": "CSV", "json": "JSON"}


def detect_endpoint_format(file: StoredFile, wanted: str | None) -> Format | None:
    """How a file is packed and whether it is csv or json; None for a file of a folder that is something else, or not the `wanted` kind.

    Raises FileError for a file that was named and is something else.
    """
    try:
        found = detect_format(file, has_mapping=True)
    except FileError:
        if file.is_named or is_known_name(file.name):
            raise
        return None
    is_stranger = found.kind not in NAMES or (wanted is not None and found.kind != wanted)
    if not is_stranger and (file.is_named or is_known_name(file.name) or found.kind == "json"):
        return found
    if not file.is_named:
        return None
    expected = NAMES[wanted] if wanted else "CSV or NDJSON"
    raise FileError(
        f"File '{file.address}' is {NAMES.get(found.kind, found.kind)} by its name and content; expected endpoints as {expected}."
    )
