"""What a file is: its name makes a claim, its first bytes decide, and a contradiction is an error that names both."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.imports.places import StoredFile
from pipeline.imports.rows import BrokenFileError, FileError, shorten
from pipeline.imports.unpack import unpack

COMPRESSIONS = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
FORMATS = {
    ".json": "json",
    ".ndjson": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".avro": "avro",
    ".csv": "csv",
    ".tsv": "csv",
}
NOT_READ = {".snappy": "Snappy", ".zip": "ZIP", ".bz2": "bzip2", ".xz": "xz", ".lz4": "LZ4", ".orc": "ORC", ".xlsx": "Excel"}
MAGIC = {b"PAR1": "parquet", b"Obj\x01": "avro", b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"BZh": "bzip2"}
HEAD_BYTES = 64 << 10


@dataclass(frozen=True)
class Format:
    """How a file is packed ('', gzip, zstd) and what is inside (json, parquet, avro, csv)."""

    compression: str
    kind: str


def is_known_name(name: str) -> bool:
    """Whether a name claims a format that is read."""
    return any(suffix in FORMATS or suffix in COMPRESSIONS for suffix in _suffixes(name))


def detect_format(file: StoredFile, has_mapping: bool) -> Format:
    """Compression and kind of a file.

    Raises FileError when the content is not what the name says, or nothing that is read.
    """
    suffixes = _suffixes(file.name)
    with file.open() as stream:
        head = stream.read(16)
    found = _magic(head)
    for suffix in suffixes:
        if suffix in NOT_READ and found not in {"parquet", "avro"}:
            raise FileError(
                f"File '{file.address}' is {NOT_READ[suffix]} by its name; expected no compression, .gz or .zst: unpack it first."
            )
    claimed = next((COMPRESSIONS[suffix] for suffix in suffixes[:1] if suffix in COMPRESSIONS), "")
    inner = [suffix for suffix in suffixes if suffix not in COMPRESSIONS]
    kind = FORMATS.get(inner[0], "") if inner else ""
    if found in {"gzip", "zstd"} and not claimed and not kind:
        claimed = found
    if claimed:
        _require(file, found == claimed, claimed, head)
        if kind in {"parquet", "avro"}:
            raise FileError(f"File '{file.address}' is {kind} packed once more in {claimed}; expected {kind} as it is: unpack it first.")
        return Format(claimed, _text_kind(file, claimed, kind, has_mapping))
    if kind in {"parquet", "avro"}:
        _require(file, found == kind, kind, head)
        return Format("", kind)
    if found:
        _require(file, not kind and found in {"parquet", "avro"}, kind or "NDJSON, Parquet, Avro or CSV", head)
        return Format("", found)
    return Format("", _text_kind(file, "", kind, has_mapping))


def _text_kind(file: StoredFile, compression: str, claimed: str, has_mapping: bool) -> str:
    head = _text_head(file, compression)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileError(f"File '{file.address}' is UTF-16; expected UTF-8: convert it first (iconv -f UTF-16 -t UTF-8).")
    # One bad line at the start does not make it another format.
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    looks_like_json = any(line.lstrip().startswith((b"{", b"[")) for line in lines)
    if claimed == "json" or (not claimed and looks_like_json):
        if head.strip() and not looks_like_json:
            _require(file, False, "JSON", head)
        return "json"
    if not has_mapping:
        what = "CSV" if claimed == "csv" else "neither JSON, Parquet nor Avro"
        raise FileError(
            f"File '{file.address}' is {what} (it begins with {_shown(head)}): its columns need a mapping to fields; "
            "give one with --mapping FILE (deploy/local/cdnow.toml is an example)."
        )
    return "csv"


def _text_head(file: StoredFile, compression: str) -> bytes:
    head = b""
    with file.open() as stream:
        try:
            for chunk in unpack(stream, file.address, compression):
                head += chunk
                if len(head) >= HEAD_BYTES:
                    break
        except BrokenFileError:
            pass  # What is whole gets read; the reader meets the same end and says so.
    return head


def _require(file: StoredFile, is_so: bool, expected: str, head: bytes) -> None:
    if not is_so:
        really = _magic(head)
        found = f"it is {really}" if really else f"it begins with {_shown(head)}"
        raise FileError(
            f"File '{file.address}' is not what its name says: expected {expected}, {found}; give it the right name, or fetch it again."
        )


def _magic(head: bytes) -> str:
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def _shown(head: bytes) -> str:
    return repr(shorten(head[:16])) if head else "nothing: it is empty"


def _suffixes(name: str) -> list[str]:
    """Suffixes, last first, in lower case: x.json.gz gives .gz, .json."""
    return [suffix.lower() for suffix in reversed(PurePosixPath(name).suffixes)]
