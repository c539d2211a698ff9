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
    with pytest.raises(SettingError, match=r"Setting 'FLUSH_SECS_MAX' is 'ten'; expected .* for example 1\.0\."):
        load_settings()
