"""Attack S5: no server that answers with a redirect leads Headwater elsewhere: the registry of schemas, and the store."""

import contextlib
from typing import Any
from unittest import mock

import botocore.exceptions
import pytest

from agents.avro.writer_schema import SchemaError
from pipeline.config import load_settings
from pipeline.imports.places import Places
from pipeline.schema_registry import SchemaRegistry
from pipeline.stores import build_store
from schemas.errors import HeadwaterError, UnavailableError
from tests.faults import guards
from tests.faults.rig.proof import Proof
from tests.faults.wire.canary import Canary, running_canary
from tests.schema_registry import running_registry


def redirect_registry(canary: Canary) -> str:
    """What becomes of a schema that a registry says to lie at the canary's."""
    with running_canary() as registry:
        registry.leads_to = f"{canary.address}/stolen"
        try:
            found = SchemaRegistry(registry.address, "us", "pass").find(7)
        except UnavailableError as error:
            return f"refused: {error}"
        assert len(registry.asked) == 1
    return f"found {found.schema}"


@pytest.mark.parametrize(
    "target", ["CANARY", "http://169.254.169.254/latest/", "http://[::ffff:127.0.0.1]:PORT/", "http://2130706433:PORT/", "//HOST/x"]
)
def test_attack_s5_a_redirect_of_the_registry_is_not_followed(canary: Canary, proof: Proof, target: str) -> None:
    with running_canary() as registry:
        port = str(canary.server_port)
        registry.leads_to = target.replace("CANARY", canary.address).replace("PORT", port).replace("HOST", f"127.0.0.1:{port}")
        with pytest.raises(UnavailableError, match="answered 307"):
            SchemaRegistry(registry.address, "us", "pass").find(7)
    assert (canary.connections, len(registry.asked)) == (0, 1)
    proof.note(injections=1)


def test_attack_s5_names_that_a_schema_refers_to_stay_names(canary: Canary, proof: Proof) -> None:
    names = [
        "../../admin",
        "..%2f..%2fadmin",
        f"@127.0.0.1:{canary.server_port}/x",
        f"//127.0.0.1:{canary.server_port}/",
        "a?b",
        "a#b",
        "a\r\nHost: b",
        ".",
    ]
    for name in names:
        with running_registry() as registry:
            registry.register(7, "string", references=[{"name": "x", "subject": name, "version": 1}])
            with contextlib.suppress(HeadwaterError, SchemaError):
                SchemaRegistry(registry.address).find(7)
            assert all(path.startswith(("/schemas/ids/7", "/subjects/")) and path.count("/") in {3, 4} for path in registry.asked), (
                registry.asked
            )
    assert canary.connections == 0
    proof.note(injections=len(names))


def test_attack_s5_without_the_guard_the_registry_leads_to_another_server_control(canary: Canary, proof: Proof) -> None:
    try:
        guards.remove("registry_redirects")
        said = redirect_registry(canary)
    finally:
        mock.patch.stopall()
    proof.show(f"{', '.join(canary.asked)} was asked for, and {said}" if canary.asked and said.startswith("found") else "")


def test_attack_s5_a_store_that_leads_elsewhere_is_not_followed(canary: Canary, proof: Proof) -> None:
    """S3 says in its answers where a bucket of another region lies; whoever poses as it must lead nobody to another server."""
    with running_canary() as store:
        store.leads_to = f"{canary.address}/stolen"
        settings: dict[str, Any] = {"s3_endpoint": store.address, "s3_access_key_id": "a", "s3_secret_access_key": "b", "s3_bucket": "x"}
        found = build_store(load_settings(**settings))
        with contextlib.suppress(botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, HeadwaterError):
            found.get("apps/shop/a")
        with contextlib.suppress(HeadwaterError, OSError):
            Places(lambda: found).find_files("s3://x/apps/shop/in")
        assert store.asked
    assert canary.connections == 0
    proof.note(injections=2)
