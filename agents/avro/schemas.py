"""The schemas that Avro values may be written by: ours and those of a folder by fingerprint, a registry's by id."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from agents.avro.writer_schema import SchemaError, WriterSchema, fingerprint, read_schema
from agents.parsing.exact_json import Unreadable
from schemas.errors import SettingError
from schemas.records import Reason
from schemas.tables import FOLDER

OURS = FOLDER / "stream_record.avsc"
# Single-object encoding: this mark, eight bytes of fingerprint, little-endian. The registry's framing: this byte, four bytes of id, big-endian.
OBJECT_MARK, REGISTRY_MARK = b"\xc3\x01", b"\x00"
OBJECT_HEAD, REGISTRY_HEAD = 10, 5


class Registry(Protocol):
    """Where schemas are found by id: pipeline.schema_registry.SchemaRegistry."""

    def begin(self) -> None:
        """Called before the schemas of one flush are asked for: what may be asked in one flush begins anew."""

    def find(self, schema_id: int) -> WriterSchema:
        """The schema of an id.

        Raises SchemaError when the registry has none of it or it cannot be used, UnavailableError when the registry does not answer.
        """


class AvroSchemas:
    """Finds the writer's schema of a value by the value's head."""

    def __init__(self, folder: Path | None = None, registry: Registry | None = None) -> None:
        """Raises SettingError for a folder that is none, or a file in it that is no Avro schema."""
        self.registry = registry
        self._known = load_known(folder)

    def begin(self) -> None:
        if self.registry is not None:
            self.registry.begin()

    def find(self, head: bytes) -> WriterSchema:
        """`head` is what stands before the datum.

        Raises Unreadable when the schema is not known, UnavailableError when the registry does not answer.
        """
        if head.startswith(OBJECT_MARK):
            if (known := self._known.get(head[2:])) is None:
                raise Unreadable(
                    Reason.UNKNOWN_SCHEMA,
                    f"The schema of fingerprint {name_fingerprint(head[2:])} (single-object encoding) is not known",
                    f"that of stream_record.avsc, or one whose file lies in the folder of HEADWATER_AVRO_SCHEMAS; {len(self._known)} schemas are known, ours among them",
                )
            return known
        schema_id = int.from_bytes(head[1:], "big", signed=False)
        what = f"Schema id {schema_id} (schema registry's framing)"
        if self.registry is None:
            raise Unreadable(Reason.UNKNOWN_SCHEMA, f"{what} cannot be looked up", "HEADWATER_AVRO_REGISTRY to name the schema registry")
        try:
            return self.registry.find(schema_id)
        except SchemaError as error:
            raise Unreadable(Reason.UNKNOWN_SCHEMA, f"{what} is of no use: {error}", "the id of an Avro schema of that registry") from None


def load_known(folder: Path | None) -> Mapping[bytes, WriterSchema]:
    """By fingerprint as on the wire: our schema and those of the folder's .avsc files.

    Raises SettingError.
    """
    if folder is not None and not folder.is_dir():
        raise SettingError("AVRO_SCHEMAS", folder, "a folder of Avro schemas (.avsc), for example /etc/headwater/avro")
    known: dict[bytes, WriterSchema] = {}
    for path in (OURS, *(sorted(folder.glob("*.avsc")) if folder else ())):
        try:
            text = path.read_bytes()
            mark = fingerprint(text)
            known.setdefault(mark, read_schema(text, f"{path.name} (fingerprint {name_fingerprint(mark)})"))
        except (SchemaError, OSError) as error:
            raise SettingError(
                "AVRO_SCHEMAS", folder, f"Avro schemas in its .avsc files, and '{path.name}' is none ({error}); mend it or take it out"
            ) from None
    return known


def name_fingerprint(mark: bytes) -> str:
    """As people and other programs write it: the number's sixteen hexadecimal digits."""
    return f"{int.from_bytes(mark, 'little'):016x}"
