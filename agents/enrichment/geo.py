"""Where an address is, by a MaxMind database: looked up once for each distinct address, and followed when the file is replaced."""

import functools
import itertools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import maxminddb
import pyarrow as pa

from agents.enrichment.addresses import LENGTH_MAX, REMEMBERED_MAX, parse_address
from schemas.errors import SettingError

log = logging.getLogger(__name__)

CHECK_SECS_MIN = 5.0
_EXPECTED = (
    "a file with a MaxMind database of the form City or Country, or unset for none ({}), for example /var/lib/GeoIP/GeoLite2-City.mmdb"
)
# Of a database with countries nearly every network has one; of the others none.
_LOOKED_AT = 1000
_Identity = tuple[int, int, int]


class Place(NamedTuple):
    """Country (ISO 3166 alpha-2), first subdivision (ISO 3166-2 without the country), city (English); null where not known."""

    country: str | None = None
    region: str | None = None
    city: str | None = None


NOWHERE = Place()


class _UnusableError(Exception):
    """Why a file cannot be used."""


class GeoDatabase:
    """A database in memory-mapped mode. One thread.

    Whoever replaces the file moves another one into its place, as geoipupdate does: a mapped file must not be written over. `clock` is
    monotonic, in seconds; at most every CHECK_SECS_MIN a look-up asks whether there is another file. One that cannot be used is
    logged once, and the one before it stays in use.

    Raises SettingError when the file cannot be used at all.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._check_at = clock() + CHECK_SECS_MIN
        self._is_damage_logged = False
        try:
            self._seen: _Identity | None = _identify(path)
            self._use(_open(path))
        except _UnusableError as error:
            raise SettingError("GEO_DATABASE", path, _EXPECTED.format(error)) from None

    def look_up(self, addresses: pa.Array) -> dict[str, pa.Array]:
        """Columns geo_country, geo_region and geo_city of these addresses, in their order; null for what is no address or not known."""
        self._follow()
        distinct = addresses.dictionary_encode()
        found = [self._find(text) if len(text) <= LENGTH_MAX else NOWHERE for text in distinct.dictionary.to_pylist()]
        columns = list(zip(*found, strict=True)) or [()] * len(Place._fields)
        return {
            f"geo_{name}": pa.array(column, pa.string()).take(distinct.indices) for name, column in zip(Place._fields, columns, strict=True)
        }

    def _use(self, reader: Any) -> None:
        self._reader, self._version = reader, reader.metadata().ip_version
        self._is_damage_logged = False
        # Places of another file are forgotten with it.
        self._find = functools.lru_cache(maxsize=REMEMBERED_MAX)(self._read)

    def _read(self, text: str) -> Place:
        address = parse_address(text)
        if address is None or address.version > self._version:
            return NOWHERE
        try:
            return read_place(self._reader.get(address))
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            if not self._is_damage_logged:
                log.error("Database '%s' (HEADWATER_GEO_DATABASE) is damaged; what cannot be read stays null: %s", self._path, error)
            self._is_damage_logged = True
            return NOWHERE

    def _follow(self) -> None:
        """Take the file that lies there now, when it is another one."""
        now = self._clock()
        if now < self._check_at:
            return
        self._check_at = now + CHECK_SECS_MIN
        before = self._seen
        try:
            self._seen = None
            self._seen = _identify(self._path)
            if self._seen == before:
                return
            # Opened after it was identified: a file that comes in between is another one at the next check.
            reader = _open(self._path)
        except _UnusableError as error:
            if self._seen != before:
                log.error(
                    "Database '%s' (HEADWATER_GEO_DATABASE) was replaced by what cannot be used (%s); the one before it stays in use.",
                    self._path,
                    error,
                )
            return
        self._reader.close()
        self._use(reader)
        log.info("Database '%s' (HEADWATER_GEO_DATABASE) was replaced; addresses are looked up in the new one.", self._path)


def read_place(record: Any) -> Place:
    """What a record of the database says; other publishers' records may be of any shape."""
    subdivisions = record.get("subdivisions") if isinstance(record, dict) else None
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    return Place(_text(record, "country", "iso_code"), _text(first, "iso_code"), _text(record, "city", "names", "en"))


def _text(found: Any, *names: str) -> str | None:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None


def _identify(path: Path) -> _Identity:
    """Changes when another file is moved to this path."""
    try:
        found = path.stat()
    except OSError as error:
        raise _UnusableError(error.strerror) from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _open(path: Path) -> Any:
    """A reader of the file, mapped into memory."""
    try:
        reader = maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT if _has_extension() else maxminddb.MODE_MMAP)
    except OSError as error:
        raise _UnusableError(error.strerror) from None
    except (maxminddb.InvalidDatabaseError, ValueError):
        raise _UnusableError("this is no MaxMind database") from None
    try:
        records = [record for _, record in itertools.islice(reader, _LOOKED_AT)]
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        reader.close()
        raise _UnusableError(f"it is damaged: {error}") from None
    if not any(read_place(record).country for record in records):
        kind = reader.metadata().database_type
        reader.close()
        raise _UnusableError(f"this one, of type {kind}, has no countries")
    return reader


@functools.cache
def _has_extension() -> bool:
    """Whether maxminddb was installed with its compiled half, which is ten times as fast."""
    try:
        import maxminddb.extension  # noqa: F401
    except ImportError:
        return False
    return True
