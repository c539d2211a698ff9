"""Attack S5: addresses that callers and other servers give lead nowhere that was not allowed; nobody is asked who should not be."""

import base64
import contextlib
import datetime as dt
import http.client
import threading
from pathlib import Path
from unittest import mock

import botocore.exceptions
import pytest
from deltalake import DeltaTable

from pipeline.config import Settings
from pipeline.definitions.database import open_definitions
from pipeline.jobs.records import JobKind, create_job
from pipeline.jobs.runner import JobRunner
from pipeline.stores import build_store
from tests.api_process import ApiProcess, client, make_access_key, make_app, make_write_key, serving
from tests.endpoint_imports import sent_updates
from tests.faults import guards
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.faults.wire.canary import Canary

# Addresses that S3Url and S3UrlPrefix are given; BUCKET is the lake's, HOST the canary's host and port.
ADDRESSES = (
    "http://169.254.169.254/latest/meta-data/",
    "http://HOST/x",
    "https://HOST/x",
    "HTTP://HOST/x",
    "//HOST/x",
    "file:///etc/passwd",
    "gopher://HOST/x",
    "ftp://HOST/x",
    "s3a://BUCKET/apps/shop/x",
    "S3://BUCKET/apps/shop/x",
    "s3:/BUCKET/apps/shop/x",
    "s3://169.254.169.254/latest/meta-data/",
    "s3://HOST/x",
    "s3://127.0.0.1/x",
    "s3://localhost/x",
    "s3://10.0.0.1/x",
    "s3://192.168.1.1/x",
    "s3://172.16.0.1/x",
    "s3://0.0.0.0/x",
    "s3://[::1]/x",
    "s3://[::ffff:169.254.169.254]/x",
    "s3://[fd00:ec2::254]/x",
    "s3://2852039166/x",
    "s3://0xA9FEA9FE/x",
    "s3://0251.0376.0251.0376/x",
    "s3://127.1/x",
    "s3://BUCKET@HOST/apps/shop/x",
    "s3://BUCKET:x@HOST/apps/shop/x",
    "s3://HOST#@BUCKET/apps/shop/x",
    "s3://HOST?@BUCKET/apps/shop/x",
    "s3://BUCKET#/apps/shop/x",
    "s3://BUCKET\\@HOST/apps/shop/x",
    "s3://BUCKET%2f@HOST/apps/shop/x",
    "s3://BUCKET.HOST/apps/shop/x",
    "s3:///apps/shop/x",
    "s3://other-bucket/apps/shop/x",
    "s3://BUCKET/apps/news/secret.json",
    "s3://BUCKET/apps/shop/../news/secret.json",
    "s3://BUCKET/apps/shop/./../news/secret.json",
    "s3://BUCKET/apps/shop/%2e%2e/news/secret.json",
    "s3://BUCKET/apps/shop/%2E%2e/news/secret.json",
    "s3://BUCKET/apps/shop/.%2e/news/secret.json",
    "s3://BUCKET/apps/shop/x%2f..%2f..%2fnews/secret.json",
    "s3://BUCKET/apps/shop//../news/secret.json",
    "s3://BUCKET/apps/shop%2f..%2fnews/secret.json",
    "s3://BUCKET/apps/shopping/x",
    "s3://BUCKET/apps/Shop/x",
    "s3://BUCKET/lake/events",
    "s3://BUCKET/lake/../lake/events",
    "s3://BUCKET/jobs/x",
    "s3://BUCKET/",
    "s3://BUCKET",
    "s3://BUCKET/apps/shop/x\0http://HOST/",
    "s3://BUCKET/apps/shop/x\r\nHost: HOST",
    "s3://BUCKET/apps/shop/\u2025/news/secret.json/..",
    " s3://BUCKET/apps/shop/x",
    "/etc/passwd",
    "~/.aws/credentials",
    "",
)


@pytest.fixture
def shop(settings: Settings, topics: list[str]) -> Settings:
    for app_id in ("shop", "news"):
        make_app(settings, app_id)
    store = build_store(settings)
    store.put("apps/news/secret.json", b'{"Id":"secret"}\n')
    store.put("apps/shop/in/a.json", b'{"Id":"own"}\n')
    return settings


def filled(address: str, settings: Settings, canary: Canary) -> str:
    return address.replace("BUCKET", settings.s3_bucket).replace("HOST", canary.address.removeprefix("http://"))


def run_jobs(settings: Settings) -> int:
    """Every job that waits, in this process; how many there were."""
    engine, count = open_definitions(settings), 0
    runner = JobRunner(settings, engine, threading.Event())
    while runner.run_one():
        count += 1
    engine.dispose()
    return count


def test_attack_s5_jobs_go_to_no_address_but_their_apps_own(
    shop: Settings, canary: Canary, tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    addresses = [filled(each, shop, canary) for each in ADDRESSES]
    schedule.chance.shuffle(addresses)
    refused = 0
    with serving(ApiProcess(shop, tmp_path)) as api:
        pinpoint = client("pinpoint", api, make_access_key(shop), parameter_validation=False)
        role = f"arn:aws:iam::000000000000:role/{canary.address}"
        given = {"RoleArn": role}
        for address in addresses:
            for call, request in (
                ("create_import_job", {"ImportJobRequest": given | {"Format": "JSON", "S3Url": address, "ExternalId": canary.address}}),
                ("create_export_job", {"ExportJobRequest": given | {"S3UrlPrefix": address}}),
            ):
                with pytest.raises(botocore.exceptions.ClientError) as error:
                    getattr(pinpoint, call)(ApplicationId="shop", **request)
                assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400, address
                refused += 1
        # Addresses that are kept and asked by nobody: a role, and where an app's events went to in AWS.
        pinpoint.put_event_stream(
            ApplicationId="shop", WriteEventStream={"DestinationStreamArn": f"{canary.address}/stream", "RoleArn": canary.address}
        )
        own = {"Format": "JSON", "S3Url": f"s3://{shop.s3_bucket}/apps/shop/in", "RoleArn": canary.address}
        pinpoint.create_import_job(ApplicationId="shop", ImportJobRequest=own)
        _deliver_by_firehose(api, make_write_key(shop), canary.address)
    assert run_jobs(shop) == 1
    assert [update["endpoint"]["Id"] if "endpoint" in update else "own" for update in sent_updates(shop)] == ["own"]
    assert (canary.connections, canary.asked) == (0, [])
    proof.note(injections=refused, kinds=len(ADDRESSES), connections_to_the_canary=canary.connections)


def _deliver_by_firehose(api: ApiProcess, key: str, address: str) -> None:
    """A delivery whose headers say where it came from, and where to ask."""
    record = base64.b64encode(b'{"event_type": "x", "link": "%s"}' % address.encode()).decode()
    body = (
        f'{{"requestId": "{address}", "timestamp": {int(dt.datetime.now(dt.UTC).timestamp() * 1000)}, "records": [{{"data": "{record}"}}]}}'
    )
    headers = {
        "content-type": "application/json",
        "x-amz-firehose-access-key": key,
        "x-amz-firehose-request-id": address,
        "x-amz-firehose-source-arn": address,
        "x-forwarded-for": "169.254.169.254",
        "x-forwarded-host": address,
        "referer": address,
    }
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    connection.request("POST", "/v1/firehose/shop", body, headers)
    connection.getresponse().read()
    connection.close()


def test_attack_s5_a_job_that_was_written_into_the_database_is_checked_again(shop: Settings, canary: Canary, proof: Proof) -> None:
    """Whoever gets past the API, or a setting that was narrowed since: the runner looks itself."""
    addresses = [filled(each, shop, canary) for each in ADDRESSES if each]
    engine = open_definitions(shop)
    with engine.begin() as connection:
        for address in addresses:
            for kind in (JobKind.IMPORT, JobKind.EXPORT):
                create_job(connection, "shop", kind, address, {"Format": "JSON", "S3Url": address, "S3UrlPrefix": address})
    engine.dispose()
    assert run_jobs(shop) == 2 * len(addresses)
    assert sent_updates(shop) == []
    assert canary.connections == 0
    proof.note(injections=2 * len(addresses))


def test_attack_s5_a_folder_by_the_name_of_another_leads_no_job_there(shop: Settings, proof: Proof) -> None:
    """The log of a Delta table makes a library open the address by itself, which takes %2e%2e for the folder above."""
    store = build_store(shop)
    store.put("apps/shop/%2e%2e/news/_delta_log/00000000000000000000.json", b"{}")
    above = f"s3://{shop.s3_bucket}/apps/shop/%2e%2e/news"
    with contextlib.suppress(Exception):
        assert "%2e" not in DeltaTable(above, storage_options=store.delta_options()).table_uri
    engine = open_definitions(shop)
    with engine.begin() as connection:
        create_job(connection, "shop", JobKind.IMPORT, above, {"Format": "JSON", "S3Url": above})
    engine.dispose()
    assert run_jobs(shop) == 1
    assert sent_updates(shop) == []
    proof.note(injections=1)


def test_attack_s5_without_the_guard_a_job_reads_another_apps_files_control(shop: Settings, proof: Proof) -> None:
    engine = open_definitions(shop)
    address = f"s3://{shop.s3_bucket}/apps/news/secret.json"
    with engine.begin() as connection:
        create_job(connection, "shop", JobKind.IMPORT, address, {"Format": "JSON", "S3Url": address})
    engine.dispose()
    try:
        guards.remove("job_addresses")
        run_jobs(shop)
    finally:
        mock.patch.stopall()
    stolen = sent_updates(shop)
    proof.show(f"{len(stolen)} endpoint of another app's file was imported" if stolen else "")
