"""The definitions database of the HTTP API: it answers, and the key of its secrets opens them."""

from collections.abc import Iterator

from sqlalchemy import Engine

from pipeline.collect.streams import load_streams
from pipeline.definitions.database import open_definitions, reading
from pipeline.definitions.key_ring import load_key_ring
from pipeline.definitions.migrate import is_newest
from pipeline.definitions.sqlite import file_path
from pipeline.definitions.vault import VaultError, build_vault
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, from_error, ok
from schemas.errors import HeadwaterError


def check_definitions(case: Case) -> Iterator[Finding]:
    """Apps and keys can be read; a database that is not there yet is made by whoever needs it first."""
    settings = case.settings
    if not settings.definitions_url.get_secret_value() and not file_path(settings).exists():
        yield ok("apps and keys", f"none yet; 'headwater apps create' makes {file_path(settings)}")
        return
    unreadable: list[VaultError] = []
    engine: Engine | None = None
    try:
        vault, engine = build_vault(settings), open_definitions(settings, is_migrated=False)
        with reading(engine) as connection:
            if not is_newest(connection):
                yield ok("apps and keys", "of an earlier release; brought to this one by what opens them next")
                return
            ring = load_key_ring(connection, vault, unreadable.append)
    except HeadwaterError as error:
        yield from_error("apps and keys", error)
        return
    finally:
        if engine is not None:
            engine.dispose()
    yield from (from_error("apps and keys", each) for each in unreadable)
    if not unreadable:
        yield ok("apps and keys", f"{len(ring.app_ids)} apps, {len(ring.access)} access keys, {len(ring.write)} write keys")
    for stream in load_streams(settings.api_streams).values():
        if stream.app_id not in ring.app_ids:
            yield broken(
                f"stream {stream.name}",
                f"of app '{stream.app_id}', which is not there",
                "an app that there is",
                f"headwater apps create NAME --id {stream.app_id}, or correct HEADWATER_API_STREAMS",
            )
