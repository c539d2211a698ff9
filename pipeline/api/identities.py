"""Guests' keys as a Cognito identity pool gives them: GetId and GetCredentialsForIdentity on `POST /`, unsigned.

Logins are not looked at: a user pool's token opens no more than a guest's key does, which sends events of one app.
"""

import time
from typing import Any

from starlette.requests import Request

from pipeline.api.context import Api, api_of
from pipeline.api.errors import ApiError


def require_guest_rate(request: Request) -> None:
    """Raises ApiError (429) for an address that asks too often."""
    api = api_of(request)
    address = request.client.host if request.client is not None else ""
    if not api.rates.take_guest(address):
        raise ApiError(
            429,
            "TooManyRequestsException",
            f"Address {address} may ask {api.settings.api_guests_per_min} times a minute.",
            {"retry-after": "60"},
        )


async def get_id(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """A new identity of a pool."""
    api, pool_id = api_of(request), body.get("IdentityPoolId")
    if isinstance(pool_id, str) and pool_id not in api.gate.ring.guest_pools:
        await api.gate.know_since(time.monotonic())
    if not isinstance(pool_id, str) or pool_id not in api.gate.ring.guest_pools:
        shown = "missing" if pool_id is None else f"'{str(pool_id)[:128]}'"
        raise ApiError(
            400,
            "ResourceNotFoundException",
            f"Field 'IdentityPoolId' is {shown}; expected a pool that 'headwater apps guests APP --pool POOL' made.",
        )
    return {"IdentityId": api.gate.desk.new_identity(pool_id)}


async def get_credentials(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Keys of an hour for an identity."""
    api, identity_id = api_of(request), body.get("IdentityId")
    pool_id = _find_pool(api, identity_id)
    if pool_id is None:
        await api.gate.know_since(time.monotonic())
        pool_id = _find_pool(api, identity_id)
    if pool_id is None or not isinstance(identity_id, str):
        shown = "missing" if identity_id is None else f"'{str(identity_id)[:128]}'"
        raise ApiError(400, "ResourceNotFoundException", f"Field 'IdentityId' is {shown}; expected an identity of a pool of ours.")
    given = api.gate.desk.give_credentials(pool_id, identity_id, time.time())
    return {
        "IdentityId": identity_id,
        "Credentials": {
            "AccessKeyId": given.access_key_id,
            "SecretKey": given.secret,
            "SessionToken": given.session_token,
            "Expiration": float(given.expires_at),
        },
    }


def _find_pool(api: Api, identity_id: object) -> str | None:
    return api.gate.desk.find_pool(identity_id, api.gate.ring.guest_pools) if isinstance(identity_id, str) else None


OPERATIONS = {
    "AWSCognitoIdentityService.GetId": get_id,
    "AWSCognitoIdentityService.GetCredentialsForIdentity": get_credentials,
}
