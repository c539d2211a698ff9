"""The Kinesis and Firehose streams that are taken: setting HEADWATER_API_STREAMS, name=app or name=app:mapping.toml."""

from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.definitions.checks import check_app_id
from pipeline.imports.mapping import Mapping
from pipeline.imports.mapping_file import load_mapping
from schemas.errors import SettingError, UsageError

_EXAMPLE = "clicks=shop,orders=shop:orders.toml"


@dataclass(frozen=True)
class Stream:
    """A declared stream: whose events it carries, and how free JSON in it is read; without a mapping by names in common use."""

    name: str
    app_id: str
    mapping: Mapping | None = None


Streams = MappingOf[str, Stream]


def load_streams(declared: Sequence[str]) -> Streams:
    """Streams by name.

    Raises SettingError for a declaration that cannot be read, UsageError for a mapping file that cannot be used.
    """
    found: dict[str, Stream] = {}
    for text in declared:
        name, _, rest = text.partition("=")
        app_id, _, path = rest.partition(":")
        if not name.strip() or not app_id.strip():
            raise SettingError("API_STREAMS", text, f"name=app or name=app:mapping.toml, for example {_EXAMPLE}")
        if name in found:
            raise SettingError("API_STREAMS", text, f"each stream once, and '{name}' is there already, for example {_EXAMPLE}")
        try:
            check_app_id(app_id)
        except UsageError as error:
            raise SettingError("API_STREAMS", text, f"an app id after the name ({error}), for example {_EXAMPLE}") from None
        found[name] = Stream(name, app_id, load_mapping(Path(path)) if path else None)
    return found


def with_absolute_paths(declared: Sequence[str]) -> list[str]:
    """The same declarations for a process that runs in another folder."""
    found = []
    for text in declared:
        head, has_path, path = text.partition(":")
        found.append(f"{head}:{Path(path).resolve()}" if has_path else text)
    return found
