"""Settings: what is wrong is named, a name that is none is not passed over."""

import pytest

from pipeline.config import load_settings
from schemas.errors import SettingError, UsageError


def test_a_misspelt_setting_is_refused_with_the_nearest_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_REDACT_HASH", "email")
    with pytest.raises(
        UsageError, match=r"'HEADWATER_REDACT_HASH' is set, and there is no such setting; did you mean HEADWATER_REDACT_HASHED\?"
    ):
        load_settings()


def test_a_wrong_value_names_setting_value_and_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_FLUSH_SECS_MAX", "ten")
    with pytest.raises(SettingError, match=r"Setting 'HEADWATER_FLUSH_SECS_MAX' is 'ten'; expected .* for example 1\.0\."):
        load_settings()


def test_zones_are_read_and_one_that_does_not_exist_is_refused_with_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_REPORT_ZONE", "Europe/Berlin")
    monkeypatch.setenv("HEADWATER_APP_ZONES", '{"shop": "America/New_York"}')
    settings = load_settings()
    assert (settings.report_zone, settings.app_zones) == ("Europe/Berlin", {"shop": "America/New_York"})
    monkeypatch.setenv("HEADWATER_REPORT_ZONE", "Europe/Berln")
    with pytest.raises(SettingError) as caught:
        load_settings()
    assert str(caught.value) == (
        "Setting 'HEADWATER_REPORT_ZONE' is 'Europe/Berln'; expected IANA time zone whose days and hours reports count by "
        "('Europe/Berln' is no IANA time zone, did you mean Europe/Berlin?), for example Europe/Berlin."
    )
    monkeypatch.setenv("HEADWATER_REPORT_ZONE", "UTC")
    monkeypatch.setenv("HEADWATER_APP_ZONES", '{"shop": "America/New York"}')
    with pytest.raises(
        SettingError, match=r"Setting 'HEADWATER_APP_ZONES' is .*'America/New York' is no IANA time zone, did you mean America/New_York\?"
    ):
        load_settings()


@pytest.mark.parametrize("value", ["shop=UTC", "[]", '{"shop": 1}'])
def test_zones_of_apps_that_are_no_object_of_texts_are_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HEADWATER_APP_ZONES", value)
    with pytest.raises(SettingError, match=r"Setting 'HEADWATER_APP_ZONES' is .*for example \{\"shop\": \"America/New_York\"\}"):
        load_settings()


def test_zones_of_apps_that_are_no_json_are_answered_with_an_example_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_APP_ZONES", "shop=UTC")
    with pytest.raises(SettingError) as caught:
        load_settings()
    assert str(caught.value) == (
        "Setting 'HEADWATER_APP_ZONES' is 'shop=UTC'; expected time zones of apps that have their own: a JSON object, app id to zone "
        """(this is no JSON), for example {"shop": "America/New_York"}."""
    )
