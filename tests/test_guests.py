"""Guests' identities and keys: derived, never stored; known again until their hour is over."""

import base64
import json

import pytest

from pipeline.auth.errors import DeniedError
from pipeline.auth.guests import IDENTITY, LIFE_SECS, GuestDesk

pytestmark = pytest.mark.attack("S1")

POOL, OTHER = "us-east-1:00000000-0000-4000-8000-000000000001", "eu-west-1:00000000-0000-4000-8000-000000000002"
POOLS = {POOL: "shop", OTHER: "news"}
NOW = 1_764_000_000.0
COGNITO = "us-east-1:a1b2c3d4-0000-4000-8000-00000000abcd"


@pytest.fixture
def desk() -> GuestDesk:
    return GuestDesk([b"m" * 32])


def test_identity_has_cognitos_form_and_tells_its_app(desk: GuestDesk) -> None:
    identity = desk.new_identity(POOL)
    assert IDENTITY.match(identity)
    assert desk.find_pool(identity, POOLS) == POOL
    assert desk.find_pool(desk.new_identity(OTHER), POOLS) == OTHER
    assert desk.new_identity(POOL) != identity


def test_identity_of_a_pool_that_is_forbidden_now_tells_no_app(desk: GuestDesk) -> None:
    identity = desk.new_identity(OTHER)
    assert desk.find_pool(identity, {}) is None


@pytest.mark.parametrize(
    ("pools", "pool_id"),
    [
        ({POOL: "shop"}, POOL),
        (POOLS, POOL),
        ({POOL: "shop", "us-east-1:" + POOL[-36:-1] + "9": "news"}, None),
        ({POOL: "shop", "us-east-1:" + POOL[-36:-1] + "9": "shop"}, POOL),
        ({OTHER: "news"}, OTHER),
        ({}, None),
    ],
)
def test_identity_that_cognito_gave_belongs_to_the_one_app_that_it_can(desk: GuestDesk, pools: dict[str, str], pool_id: str | None) -> None:
    assert desk.find_pool(COGNITO, pools) == pool_id


@pytest.mark.parametrize(
    "text", ["", "x", "us-east-1:", "us-east-1:not-a-uuid", POOL + "0", "../" + COGNITO, COGNITO.replace(":", "/"), COGNITO + "\n"]
)
def test_text_that_is_no_identity_tells_no_app(desk: GuestDesk, text: str) -> None:
    assert desk.find_pool(text, POOLS) is None


@pytest.mark.parametrize(("age", "is_over"), [(0, False), (LIFE_SECS - 1, False), (LIFE_SECS, True), (LIFE_SECS + 1, True)])
def test_keys_hold_for_their_hour(desk: GuestDesk, age: float, is_over: bool) -> None:
    given = desk.give_credentials(POOL, COGNITO, NOW)
    assert given.expires_at == NOW + LIFE_SECS
    if is_over:
        with pytest.raises(DeniedError) as denied:
            desk.read_token(given.session_token, NOW + age)
        assert denied.value.kind == "ExpiredTokenException"
    else:
        guest = desk.read_token(given.session_token, NOW + age)
        assert (guest.pool_id, guest.identity_id, guest.access_key_id, guest.secret) == (POOL, COGNITO, given.access_key_id, given.secret)


def test_token_that_was_changed_in_any_byte_is_refused(desk: GuestDesk) -> None:
    raw = base64.b64decode(desk.give_credentials(POOL, COGNITO, NOW).session_token)
    for place in range(len(raw)):
        token = base64.b64encode(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]).decode()
        with pytest.raises(DeniedError) as denied:
            desk.read_token(token, NOW)
        assert denied.value.kind == "UnrecognizedClientException"


@pytest.mark.parametrize(
    "token", ["", "x", "=", "é", base64.b64encode(b"x" * 40).decode(), base64.b64encode(json.dumps(["a"]).encode()).decode()]
)
def test_token_that_is_none_is_refused(desk: GuestDesk, token: str) -> None:
    with pytest.raises(DeniedError, match="invalid"):
        desk.read_token(token, NOW)


def test_token_of_another_master_is_refused(desk: GuestDesk) -> None:
    given = GuestDesk([b"n" * 32]).give_credentials(POOL, COGNITO, NOW)
    with pytest.raises(DeniedError):
        desk.read_token(given.session_token, NOW)


def test_rotated_master_knows_what_the_one_before_gave(desk: GuestDesk) -> None:
    identity, given = desk.new_identity(OTHER), desk.give_credentials(POOL, COGNITO, NOW)
    rotated = GuestDesk([b"n" * 32, b"m" * 32])
    assert rotated.read_token(given.session_token, NOW).secret == given.secret
    assert rotated.find_pool(identity, {POOL: "shop", OTHER: "news", OTHER[:-1] + "9": "x"}) == OTHER


def test_secret_is_not_shown(desk: GuestDesk) -> None:
    given = desk.give_credentials(POOL, COGNITO, NOW)
    guest = desk.read_token(given.session_token, NOW)
    for shown in (repr(given), repr(guest)):
        assert given.secret not in shown
        assert given.session_token not in shown
