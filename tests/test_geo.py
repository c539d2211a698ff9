"""Places of addresses, by MaxMind's own test databases: what is found, what is refused, and a file that is replaced while it is in use."""

import logging
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from agents.enrichment.addresses import REMEMBERED_MAX
from agents.enrichment.geo import CHECK_SECS_MIN, GeoDatabase, Place, read_place
from pipeline.config import load_settings
from pipeline.event_stream import build_event_rules
from schemas.errors import SettingError
from tests.conftest import RunHeadwater
from tests.geo_database import ASN, CITY, COUNTRY, DAMAGED, IPV4_ONLY

LONDON = "81.2.69.142"
Found = tuple[str | None, str | None, str | None]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def look_up(database: GeoDatabase, *addresses: str | None) -> list[Found]:
    found = database.look_up(pa.array(addresses, pa.string()))
    return list(zip(*(found[name].to_pylist() for name in ("geo_country", "geo_region", "geo_city")), strict=True))


def put(source: Path, place: Path) -> None:
    """Move a copy of the file into its place, as whoever updates a database does."""
    beside = place.with_suffix(".new")
    shutil.copy(source, beside)
    os.replace(beside, place)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (LONDON, ("GB", "ENG", "London")),
        (f" {LONDON} ", ("GB", "ENG", "London")),
        (f"::ffff:{LONDON}", ("GB", "ENG", "London")),
        # Of several subdivisions the first.
        ("2.125.160.216", ("GB", "ENG", "Boxford")),
        ("89.160.20.112", ("SE", "E", "Linköping")),
        ("2001:218::1", ("JP", None, None)),
        ("10.1.2.3", (None, None, None)),
        ("192.168.0.1", (None, None, None)),
        ("127.0.0.1", (None, None, None)),
        ("fe80::1%eth0", (None, None, None)),
        ("::1", (None, None, None)),
        ("no address", (None, None, None)),
        ("81.2.69.142:443", (None, None, None)),
        ("", (None, None, None)),
        ("8" * 100_000, (None, None, None)),
        (None, (None, None, None)),
    ],
)
def test_place_of_an_address_is_what_the_database_says_or_null(geo_files: Path, address: str | None, place: Found) -> None:
    assert look_up(GeoDatabase(geo_files / CITY), address) == [place]


def test_each_row_has_the_place_of_its_own_address(geo_files: Path) -> None:
    database = GeoDatabase(geo_files / CITY)
    london, linkoping, nowhere = ("GB", "ENG", "London"), ("SE", "E", "Linköping"), (None, None, None)
    rows = [LONDON, None, "89.160.20.112", LONDON, "no address", "89.160.20.112"]
    expected = [london, nowhere, linkoping, london, nowhere, linkoping]
    assert look_up(database, *rows) == expected
    sliced = database.look_up(pa.array(rows).slice(2, 3))
    assert sliced["geo_country"].to_pylist() == ["SE", "GB", None]
    assert look_up(database) == []
    assert look_up(database, None, None) == [nowhere, nowhere]


def test_a_database_of_countries_gives_countries_alone(geo_files: Path) -> None:
    assert look_up(GeoDatabase(geo_files / COUNTRY), LONDON) == [("GB", None, None)]


def test_an_address_is_looked_up_once_and_what_is_remembered_is_bounded(geo_files: Path) -> None:
    database = GeoDatabase(geo_files / CITY)
    look_up(database, *([LONDON] * 1000), "89.160.20.112")
    look_up(database, LONDON)
    assert (database._find.cache_info().misses, database._find.cache_info().hits) == (2, 1)
    look_up(database, *(f"10.0.{number // 256}.{number % 256}" for number in range(REMEMBERED_MAX + 100)))
    assert database._find.cache_info().currsize == REMEMBERED_MAX


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": {"iso_code": "GB"}, "subdivisions": [{"iso_code": "ENG"}, {"iso_code": "WBK"}]}, Place("GB", "ENG", None)),
        ({"country": {"iso_code": "GB"}, "subdivisions": [], "city": {"names": {"de": "London"}}}, Place("GB")),
        ({"country": "GB", "city": "London", "subdivisions": "ENG"}, Place()),
        ({"country": {"iso_code": 7}, "city": {"names": {"en": ""}}, "subdivisions": ["ENG"]}, Place()),
        ("text", Place()),
        (None, Place()),
    ],
)
def test_a_record_of_any_shape_is_read_or_says_nothing(record: object, place: Place) -> None:
    assert read_place(record) == place


# What is refused at start


def test_files_that_are_no_database_of_countries_are_refused_with_the_reason(geo_files: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mmdb").touch()
    (tmp_path / "text.mmdb").write_text("no database")
    wrong = {
        tmp_path / "missing.mmdb": "No such file",
        tmp_path: "no MaxMind database|Is a directory",
        tmp_path / "empty.mmdb": "no MaxMind database",
        tmp_path / "text.mmdb": "no MaxMind database",
        geo_files / ASN: "of type GeoLite2-ASN, has no countries",
        geo_files / IPV4_ONLY: "of type Test, has no countries",
        geo_files / DAMAGED: "damaged",
    }
    for path, reason in wrong.items():
        with pytest.raises(
            SettingError, match=rf"Setting 'HEADWATER_GEO_DATABASE' is '{path}'; expected .*({reason}).*, for example /.*\.mmdb\."
        ):
            build_event_rules(load_settings(geo_database=path))


def test_without_a_setting_or_without_the_enrichment_no_database_is_opened(tmp_path: Path) -> None:
    assert build_event_rules(load_settings()).enrich.geo_database is None
    off = load_settings(geo_database=tmp_path / "missing.mmdb", enrichments=("device",))
    assert build_event_rules(off).enrich.geo_database is None


def test_a_worker_with_a_database_that_is_none_ends_with_status_2_and_says_so(run_headwater: RunHeadwater) -> None:
    done = run_headwater("worker", geo_database="/nowhere/GeoLite2-City.mmdb", secs_max=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("headwater: Setting 'HEADWATER_GEO_DATABASE' is '/nowhere/GeoLite2-City.mmdb'; expected ")


# A file that is replaced


def test_another_file_in_its_place_is_in_use_after_the_next_check_and_not_before(geo_files: Path, tmp_path: Path) -> None:
    path, clock = tmp_path / "places.mmdb", Clock()
    put(geo_files / COUNTRY, path)
    database = GeoDatabase(path, clock)
    assert look_up(database, LONDON) == [("GB", None, None)]
    put(geo_files / CITY, path)
    clock.now = CHECK_SECS_MIN - 0.001
    assert look_up(database, LONDON) == [("GB", None, None)]
    clock.now = CHECK_SECS_MIN
    assert look_up(database, LONDON) == [("GB", "ENG", "London")]


@pytest.mark.parametrize("harm", ["text", "missing", ASN])
def test_a_broken_replacement_is_logged_once_and_the_old_file_stays_in_use_until_a_good_one_comes(
    geo_files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    caplog.set_level(logging.INFO)
    path, clock = tmp_path / "places.mmdb", Clock()
    put(geo_files / COUNTRY, path)
    database = GeoDatabase(path, clock)
    if harm == "missing":
        path.unlink()
    elif harm == "text":
        (tmp_path / "text").write_text("no database")
        put(tmp_path / "text", path)
    else:
        put(geo_files / harm, path)
    for _ in range(3):
        clock.now += CHECK_SECS_MIN
        assert look_up(database, LONDON, "2.125.160.216") == [("GB", None, None)] * 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "stays in use" in caplog.text
    put(geo_files / CITY, path)
    clock.now += CHECK_SECS_MIN
    assert look_up(database, LONDON) == [("GB", "ENG", "London")]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_records_that_cannot_be_read_are_null_and_logged_once(
    geo_files: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is damaged where nobody looked at start."""
    monkeypatch.setattr("agents.enrichment.geo._LOOKED_AT", 0)
    monkeypatch.setattr("agents.enrichment.geo.any", lambda _: True, raising=False)
    database = GeoDatabase(geo_files / DAMAGED)
    assert look_up(database, LONDON, "89.160.20.112") == [(None, None, None)] * 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_an_ipv6_address_in_a_database_of_ipv4_is_null(geo_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.enrichment.geo.any", lambda _: True, raising=False)
    assert look_up(GeoDatabase(geo_files / IPV4_ONLY), "2001:218::1", "1.1.1.1") == [(None, None, None)] * 2
