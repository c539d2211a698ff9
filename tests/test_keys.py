"""Keys, the vault and the key ring, on SQLite and on PostgreSQL: who may do what, and that no secret lies open."""

import dataclasses
import datetime as dt
import hashlib
import logging
import re
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from pipeline.config import Settings, load_settings
from pipeline.definitions.apps import allow_guests, create_app
from pipeline.definitions.database import changing, reading
from pipeline.definitions.keys import (
    Key,
    Scope,
    add_access_key,
    create_access_key,
    create_write_key,
    encrypt_anew,
    list_keys,
    load_key_ring,
    replace_secret,
    revoke_key,
)
from pipeline.definitions.tables import metadata
from pipeline.definitions.vault import Vault, VaultError, build_vault
from schemas.errors import SettingError, UsageError

pytestmark = pytest.mark.attack("S1")

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)


@pytest.fixture
def vault(definitions_settings: Settings) -> Vault:
    return build_vault(definitions_settings)


def read_everything(engine: Engine) -> bytes:
    """All that the database holds: the bytes of its files, or every row of every table of the server."""
    if engine.dialect.name == "sqlite":
        path = Path(engine.url.database or "")
        return b"".join(file.read_bytes() for file in path.parent.glob("definitions.db*"))
    with reading(engine) as connection:
        return repr([connection.execute(sa.select(table)).all() for table in metadata.sorted_tables]).encode()


def test_an_access_key_has_the_form_of_awss_and_opens_with_its_secret(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        key, secret = create_access_key(connection, vault, [Scope.READ, Scope.INGEST], "shop", 250.5, "for the phones")
    assert re.fullmatch("HWAK[A-Z2-7]{16}", key.key_id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", secret)
    assert dataclasses.replace(key, key_id="", created_at=NOON) == Key(
        "", "access", frozenset({Scope.INGEST, Scope.READ}), "shop", 250.5, "for the phones", NOON, None
    )
    with reading(engine) as connection:
        assert load_key_ring(connection, vault).access == {key.key_id: (key, secret)}


def test_a_write_key_is_known_by_the_hash_of_its_text(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        key, text = create_write_key(connection)
    text_hash = hashlib.sha256(text.encode()).hexdigest()
    assert re.fullmatch("hwk_[A-Za-z0-9_-]{43}", text)
    assert (key.key_id, key.kind, key.scopes, key.app_id) == (f"hwk_{text_hash[:8]}", "write", frozenset({Scope.INGEST}), None)
    with reading(engine) as connection:
        ring = load_key_ring(connection, vault)
    assert (ring.write, ring.access) == ({text_hash: key}, {})


def test_a_write_key_whose_id_is_taken_gets_another_text(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter(["first", "first", "second"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: next(texts))
    with changing(engine) as connection:
        assert [create_write_key(connection)[1] for _ in range(2)] == ["hwk_first", "hwk_second"]
        assert len(list_keys(connection)) == 2


def test_no_secret_lies_open_in_the_database_the_log_or_a_text_form(engine: Engine, vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.DEBUG)
    with changing(engine) as connection:
        key, secret = create_access_key(connection, vault, [Scope.INGEST])
        _, text = create_write_key(connection)
        added = add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY", [Scope.INGEST])
        ring = load_key_ring(connection, vault)
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    secrets = [secret, text, ring.access[added.key_id][1]]
    assert "INSERT INTO keys" in caplog.text, "the log has the statements"
    shown = [repr(each) for each in (ring, vault, key, added, engine)]
    for hidden in secrets:
        assert hidden.encode() not in read_everything(engine)
        assert hidden not in caplog.text
        assert not [text for text in shown if hidden in text]
    with changing(engine) as connection:
        create_write_key(connection, note=secret)
    assert secret.encode() in read_everything(engine), "the control: what is written open is found"
    assert key.key_id.encode() in read_everything(engine)


def test_no_parameter_is_in_an_error_of_the_database(engine: Engine) -> None:
    statement = sa.text("insert into nowhere values (:value)")
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError) as raised:
        connection.execute(statement, {"value": "Geheim1"})
    assert "Geheim1" not in str(raised.value)
    open_engine = sa.create_engine("sqlite://")
    with open_engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="Geheim1"):
        connection.execute(statement, {"value": "Geheim1"})
    open_engine.dispose()


@pytest.mark.parametrize(("length", "is_fit"), [(15, False), (16, True), (128, True), (129, False)])
def test_an_access_key_id_that_is_added_has_16_to_128_word_characters(engine: Engine, vault: Vault, length: int, is_fit: bool) -> None:
    with changing(engine) as connection:
        if is_fit:
            assert add_access_key(connection, vault, "A" * length, "secret", [Scope.INGEST]).key_id == "A" * length
        else:
            with pytest.raises(UsageError, match="expected 16 to 128 of"):
                add_access_key(connection, vault, "A" * length, "secret", [Scope.INGEST])


@pytest.mark.parametrize(
    "access_key_id", ["AKIA-OSFODNN7EXAMPLE", "AKIA OSFODNN7EXAMPLE", "ÄKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE\n"]
)
def test_an_access_key_id_of_other_characters_is_refused(engine: Engine, vault: Vault, access_key_id: str) -> None:
    with changing(engine) as connection, pytest.raises(UsageError, match="expected 16 to 128 of"):
        add_access_key(connection, vault, access_key_id, "secret", [Scope.INGEST])


@pytest.mark.parametrize("secret", ["", "s" * 257, "two words", "line\nline", "schlüssel"])
def test_a_secret_that_cannot_be_used_is_refused_and_not_said(engine: Engine, vault: Vault, secret: str) -> None:
    with changing(engine) as connection, pytest.raises(UsageError, match="expected 1 to 256 characters") as raised:
        add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", secret, [Scope.INGEST])
    assert not secret or secret not in str(raised.value)


def test_an_access_key_id_that_is_taken_is_refused_even_when_it_is_revoked(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", "first", [Scope.INGEST])
        for _ in range(2):
            with pytest.raises(UsageError, match="Access key id 'AKIAIOSFODNN7EXAMPLE' is taken"):
                add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", "second", [Scope.INGEST])
            revoke_key(connection, "AKIAIOSFODNN7EXAMPLE", NOON)


def test_a_key_for_an_app_that_is_not_there_is_refused(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        with pytest.raises(UsageError, match="There is no app 'gone'"):
            create_access_key(connection, vault, [Scope.INGEST], "gone")
        with pytest.raises(UsageError, match="There is no app 'gone'"):
            create_write_key(connection, app_id="gone")
        assert list_keys(connection) == []


def test_a_key_has_a_scope(engine: Engine) -> None:
    with changing(engine) as connection, pytest.raises(UsageError, match="expected one or more of ingest, read, manage"):
        create_write_key(connection, [])


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_is_a_number_greater_than_0(engine: Engine, rate: float) -> None:
    with changing(engine) as connection:
        assert create_write_key(connection, events_per_sec=0.001)[0].events_per_sec == 0.001
        with pytest.raises(UsageError, match="expected a number greater than 0"):
            create_write_key(connection, events_per_sec=rate)


def test_a_note_has_at_most_200_characters(engine: Engine) -> None:
    with changing(engine) as connection:
        assert create_write_key(connection, note="n" * 200)[0].note == "n" * 200
        with pytest.raises(UsageError, match="expected 0 to 200"):
            create_write_key(connection, note="n" * 201)


def test_a_revoked_key_holds_no_more_and_keeps_its_first_moment(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        access, _ = create_access_key(connection, vault, [Scope.MANAGE])
        write, _ = create_write_key(connection)
        kept, _ = create_write_key(connection)
        first = [revoke_key(connection, key.key_id, NOON) for key in (access, write)]
    with changing(engine) as connection:
        again = [revoke_key(connection, key.key_id, NOON + dt.timedelta(days=1)) for key in (access, write)]
        assert first == again == [dataclasses.replace(key, revoked_at=NOON) for key in (access, write)]
        assert revoke_key(connection, "hwk_nothing", NOON) is None
        assert list_keys(connection) == [kept]
        assert {key.key_id: key.revoked_at for key in list_keys(connection, with_revoked=True)} == {
            access.key_id: NOON,
            write.key_id: NOON,
            kept.key_id: None,
        }
        ring = load_key_ring(connection, vault)
    assert (list(ring.access), [key.key_id for key in ring.write.values()]) == ([], [kept.key_id])


def test_the_ring_knows_the_apps_and_their_guests(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        create_app(connection, "Other", "other")
        pool_id = allow_guests(connection, "shop")
        ring = load_key_ring(connection, vault)
    assert (ring.app_ids, ring.guest_pools) == (frozenset({"shop", "other"}), {pool_id: "shop"})


def test_a_vault_key_is_replaced_without_a_stop(engine: Engine) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    with changing(engine) as connection:
        first, first_secret = create_access_key(connection, Vault([old]), [Scope.INGEST])
        second, second_secret = create_access_key(connection, Vault([new, old]), [Scope.INGEST])
    with changing(engine) as connection:
        found = load_key_ring(connection, Vault([new, old])).access
        assert {key_id: secret for key_id, (_, secret) in found.items()} == {first.key_id: first_secret, second.key_id: second_secret}
        with pytest.raises(
            VaultError, match=f"The secret of key '{first.key_id}' cannot be opened with any key of setting 'DEFINITIONS_KEY'"
        ):
            load_key_ring(connection, Vault([new]))
        revoke_key(connection, first.key_id, NOON)
        assert list(load_key_ring(connection, Vault([new])).access) == [second.key_id]


def test_without_a_vault_key_the_way_out_is_said_and_works(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"Setting 'HEADWATER_DEFINITIONS_KEY' is ''; expected Fernet keys .* 'headwater up'") as raised:
        build_vault(load_settings(home=tmp_path))
    way_out = re.search(r"this makes one: (.*) \(or", str(raised.value))
    assert way_out is not None
    made = subprocess.run(["sh", "-c", way_out[1]], capture_output=True, text=True, check=True).stdout.strip()
    vault = build_vault(load_settings(home=tmp_path, definitions_key=made))
    assert vault.decrypt(vault.encrypt("text")) == "text"


@pytest.mark.parametrize("given", ["Geheim1", "Geheim1,{key}", "{key},Geheim1"])
def test_a_vault_key_that_is_none_is_refused_and_not_said(tmp_path: Path, given: str) -> None:
    key = Fernet.generate_key().decode()
    settings = load_settings(home=tmp_path, definitions_key=given.replace("{key}", key))
    with pytest.raises(SettingError, match=r"Setting 'HEADWATER_DEFINITIONS_KEY' is '\(not shown\)'; expected Fernet keys") as raised:
        build_vault(settings)
    assert "Geheim1" not in str(raised.value)
    assert key not in str(raised.value)


def test_key_that_was_added_with_a_wrong_secret_or_revoked_can_be_given_another(engine: Engine, vault: Vault) -> None:
    with changing(engine) as connection:
        add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", "wrong", [Scope.INGEST])
        revoke_key(connection, "AKIAIOSFODNN7EXAMPLE", NOON)
        with pytest.raises(UsageError, match="--replace"):
            add_access_key(connection, vault, "AKIAIOSFODNN7EXAMPLE", "right", [Scope.INGEST])
        assert replace_secret(connection, vault, "AKIAIOSFODNN7EXAMPLE", "right").revoked_at is None
        assert load_key_ring(connection, vault).access["AKIAIOSFODNN7EXAMPLE"][1] == "right"
        with pytest.raises(UsageError, match="no access key"):
            replace_secret(connection, vault, "AKIANOBODYSEXAMPLE00", "right")


def test_secrets_encrypted_anew_need_the_first_key_alone(engine: Engine) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    unreadable: list[VaultError] = []
    with changing(engine) as connection:
        key, secret = create_access_key(connection, Vault([old]), [Scope.INGEST])
        with pytest.raises(VaultError, match=key.key_id):
            load_key_ring(connection, Vault([new]))
        assert key.key_id not in load_key_ring(connection, Vault([new]), unreadable.append).access
        assert len(unreadable) == 1
        assert encrypt_anew(connection, Vault([new, old])) == 1
        assert load_key_ring(connection, Vault([new])).access[key.key_id][1] == secret
        with pytest.raises(VaultError, match=key.key_id):
            encrypt_anew(connection, Vault([old]))
