"""Row S6: names that would lead out of a folder, wherever a name can be given: refused, or stored as the values that they are."""

import posixpath
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from pipeline.config import Settings
from pipeline.jobs.urls import check_job_url
from pipeline.stores import build_store
from schemas.errors import UsageError
from tests.api_process import make_app
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.proof import Proof
from tests.stream import event, rows, send
from tests.test_api_denial import PATHS, strangers
from tests.worker_process import running, wait_until


def _job_addresses(settings: Settings) -> list[str]:
    """Addresses that begin under the app's own prefix, or look so, and lead elsewhere."""
    own = f"s3://{settings.s3_bucket}/apps/shop"
    ways = ["/..", "/../../lake/events", "/./../x", "//x", "/a\x00b", "/../second/in", "/a/../../second"]
    others = [f"s3://{settings.s3_bucket}/{path}" for path in ("lake", "lake/events", "jobs", "apps/shop-other", "apps", "../apps/shop")]
    return [own + way for way in ways] + others + ["/etc/passwd", "file:///etc/passwd", "s3://../apps/shop", "s3:///apps/shop"]


def _passing(settings: Settings, addresses: list[str]) -> list[str]:
    passed = []
    for address in addresses:
        try:
            check_job_url(settings, "shop", address)
        except UsageError:
            continue
        passed.append(address)
    return passed


def test_attack_s6_names_that_lead_elsewhere_stay_below_the_root(
    settings: Settings, topics: list[str], tmp_path: Path, proof: Proof
) -> None:
    records = [
        event(f"{value}-{place}", value, application={"app_id": value}, event_type=value, attributes={value: value})
        for place, value in enumerate(PATHS)
    ]
    send(settings, records)
    with running(FaultWorker(settings, tmp_path)):
        wait_until(lambda: len(rows(settings)) == len(PATHS), "every event has landed")
    assert sorted(rows(settings, columns=["app_id", "endpoint_id"])) == sorted((value, value) for value in PATHS)
    assert strangers(settings) == []
    refused = 0
    for make in (_make_app, _export):
        for value in PATHS:
            refused += _is_refused(make, settings, value)
    # An app's name and a place of a job that are paths: all but a plain long one.
    assert refused >= 2 * (len(PATHS) - 3)
    addresses = _job_addresses(settings)
    assert _passing(settings, addresses) == []
    assert strangers(settings) == []
    proof.note(injections=len(records) + 2 * len(PATHS) + len(addresses), refused=refused + len(addresses), keys_elsewhere=0)


def _is_refused(make: Callable[[Settings, str], None], settings: Settings, value: str) -> bool:
    try:
        make(settings, value)
    except (UsageError, ValueError):
        return True
    return False


def _make_app(settings: Settings, value: str) -> None:
    make_app(settings, value)


def _export(settings: Settings, value: str) -> None:
    check_job_url(settings, "shop", f"s3://{settings.s3_bucket}/{value}")


def test_attack_s6_without_the_look_at_each_part_an_address_leads_into_the_lake_control(settings: Settings, proof: Proof) -> None:
    def split_naively(address: str) -> tuple[str, str]:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return bucket, key.rstrip("/")

    addresses = _job_addresses(settings)
    with (
        mock.patch("pipeline.jobs.urls.split_s3", split_naively),
        mock.patch("pipeline.endpoints.files.addresses.split_s3", split_naively),
    ):
        passed = _passing(settings, addresses)
    # Where a store of files puts what such a key names.
    led = [address for address in passed if "/apps/shop/" not in posixpath.normpath("/" + split_naively(address)[1]) + "/"]
    build_store(settings).put("etc/passwd", b"x")
    assert strangers(settings) == ["etc/passwd"]
    proof.note(injections=len(addresses))
    proof.show(f"{len(led)} of {len(addresses)} addresses pass and lead out of the app's folder" if led else "")
