"""The import of files of endpoints, from disk or s3://, for the command line."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.config import Settings
from pipeline.definitions.checks import check_app_id
from pipeline.endpoints.files.addresses import check_address
from pipeline.endpoints.files.kind import EndpointFiles
from pipeline.event_stream import is_redacting
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import Places
from pipeline.imports.run import import_files, open_run
from pipeline.moments import Now, now_utc
from pipeline.stores import build_store


@dataclass(frozen=True)
class EndpointImportOptions:
    """How files of endpoints are imported. `is_again`: files that were imported before are imported once more, their updates as new ones."""

    app_id: str
    is_again: bool = False
    is_dry_run: bool = False
    shows_progress: bool = False


def import_endpoints(settings: Settings, addresses: Sequence[str], options: EndpointImportOptions, now: Now = now_utc) -> list[Outcome]:
    """Import every file at the addresses, in order; one outcome for each.

    Raises UsageError for an address that is not there or lies in the lake, UnavailableError when Kafka or S3 does not answer.
    """
    check_app_id(options.app_id)
    for address in addresses:
        check_address(settings, address)
    places = Places(lambda: build_store(settings))
    files = [file for address in addresses for file in places.find_files(address)]
    again_id = uuid.uuid4().hex[:12] if options.is_again else ""
    kind = EndpointFiles(
        settings.home, options.app_id, settings.message_bytes_max, again_id=again_id, shows_values=not is_redacting(settings)
    )
    return import_files(open_run(settings, kind, places, options.is_dry_run, now), files, options.shows_progress)
