"""Import and export jobs: asked for by boto3, run by processes that may be killed, each row once whatever happens to them."""

import datetime as dt
import functools
import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from sqlalchemy import Engine

from pipeline.config import Settings
from pipeline.definitions.apps import create_app
from pipeline.definitions.database import changing, open_definitions, reading
from pipeline.definitions.tables import jobs
from pipeline.jobs.lease import Lease, LeaseLostError, take_job
from pipeline.jobs.records import JobKind, JobStatus, RivalJobError, create_job, find_job, list_jobs
from pipeline.jobs.runner import JobRunner
from pipeline.jobs.urls import check_job_url
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import UsageError
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.conftest import RunHeadwater
from tests.endpoint_exports import PINPOINT, state, wait_for
from tests.endpoint_imports import sent_ids, sent_updates, write_csv
from tests.worker_process import WorkerProcess, running, wait_until

NOON = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
ROLE = "arn:aws:iam::000000000000:role/none"
EMPTY: dict[str, Any] = {"Format": "CSV", "S3Url": "s3://x/y"}


# The records and the lease, on both databases.


def new_job(engine: Engine, address: str = "s3://x/y", at: dt.datetime = NOON) -> str:
    with changing(engine) as connection:
        return create_job(connection, "shop", JobKind.IMPORT, address, EMPTY, at=at).job_id


@pytest.fixture
def shop(engine: Engine) -> Engine:
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
        create_app(connection, "Other", "other")
    return engine


def test_a_job_is_found_as_it_was_made_and_only_as_what_it_is(shop: Engine) -> None:
    job_id = new_job(shop)
    with reading(shop) as connection:
        found = find_job(connection, "shop", JobKind.IMPORT, job_id)
        assert found is not None
        assert (found.status, found.created_at, found.definition, found.total_processed) == (JobStatus.CREATED, NOON, EMPTY, 0)
        assert find_job(connection, "shop", JobKind.EXPORT, job_id) is None
        assert find_job(connection, "other", JobKind.IMPORT, job_id) is None


def test_jobs_are_listed_page_by_page_oldest_first(shop: Engine) -> None:
    made = [new_job(shop, f"s3://x/{number}", NOON + dt.timedelta(seconds=number)) for number in range(5)]
    with reading(shop) as connection:
        pages = [list_jobs(connection, "shop", JobKind.IMPORT, after, 2) for after in (None, made[1], made[3])]
        assert [[job.job_id for job in page] for page in pages] == [made[:2], made[2:4], made[4:]]
        with pytest.raises(UsageError, match="is no import job of this app"):
            list_jobs(connection, "shop", JobKind.IMPORT, "nobody")


def test_the_same_is_not_asked_for_twice_while_it_is_under_way(shop: Engine) -> None:
    first = new_job(shop)
    with pytest.raises(RivalJobError, match=f"is at work in import job '{first}'"):
        new_job(shop)
    with changing(shop) as connection:
        create_job(connection, "other", JobKind.IMPORT, "s3://x/y", EMPTY)
        create_job(connection, "shop", JobKind.EXPORT, "s3://x/y", EMPTY)
        connection.execute(jobs.update().values(status=JobStatus.COMPLETED))
    assert new_job(shop) != first


def test_of_two_runners_one_takes_a_job_and_the_other_only_when_that_one_is_silent(shop: Engine) -> None:
    job_id = new_job(shop)
    at = [NOON]
    barrier, taken = threading.Barrier(2), []

    def take(owner: str) -> None:
        barrier.wait()
        taken.append((owner, take_job(shop, owner, 30, lambda: at[0])))

    threads = [threading.Thread(target=take, args=(owner,)) for owner in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((owner, job),) = [(owner, job) for owner, job in taken if job is not None]
    assert job.job_id == job_id
    other = "b" if owner == "a" else "a"
    at[0] = NOON + dt.timedelta(seconds=30)
    assert take_job(shop, other, 30, lambda: at[0]) is None
    at[0] = NOON + dt.timedelta(seconds=30.001)
    lease = Lease(shop, job, owner, 30, threading.Event(), lambda: at[0])
    lease.save(total_pieces=1)
    assert take_job(shop, other, 30, lambda: at[0]) is None
    at[0] += dt.timedelta(seconds=31)
    found = take_job(shop, other, 30, lambda: at[0])
    assert found is not None
    assert found.total_pieces == 1
    # Who lost it writes nothing more.
    with pytest.raises(LeaseLostError):
        lease.save(total_pieces=7)
    with pytest.raises(LeaseLostError):
        lease.check()
    with reading(shop) as connection:
        now = find_job(connection, "shop", JobKind.IMPORT, job_id)
    assert now is not None
    assert now.total_pieces == 1


def test_without_a_lease_two_runners_would_run_the_same_job(shop: Engine) -> None:
    new_job(shop)
    assert take_job(shop, "a", 30, lambda: NOON) is not None
    later = NOON + dt.timedelta(milliseconds=1)
    assert take_job(shop, "b", 30, lambda: later) is None
    # The control: a lease of no length is none.
    assert take_job(shop, "b", 0, lambda: later) is not None


@pytest.mark.parametrize(
    ("allowed", "address", "said"),
    [
        ((), "s3://any/where", ""),
        (("s3://in/a",), "s3://in/a", ""),
        (("s3://in/a/",), "s3://in/a/b.csv", ""),
        (("s3://out", "s3://in"), "s3://in/x", ""),
        (("s3://in/a",), "s3://in/ab", "is under none of s3://in/a"),
        (("s3://in/a",), "s3://other/a", "is under none of"),
        ((), "s3://headwater/lake/events", "the lake's own folder"),
        (("s3://headwater",), "s3://headwater/lake", "the lake's own folder"),
        ((), "/etc/passwd", "cannot be used; expected s3://bucket/prefix"),
        ((), "file:///etc/passwd", "cannot be used"),
    ],
)
def test_addresses_of_jobs_are_those_that_the_setting_allows(allowed: tuple[str, ...], address: str, said: str) -> None:
    settings = Settings(job_urls=allowed, s3_bucket="headwater")
    if said:
        with pytest.raises(UsageError, match=said):
            check_job_url(settings, address)
    else:
        check_job_url(settings, address)


# Over the API, with real Kafka and S3.


@contextmanager
def job_runner(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`headwater jobs`, killed at the end."""
    with (folder / "jobs.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "pipeline.cli", "jobs"], env=environment(settings), stdout=log, stderr=log)
    try:
        yield process
    except BaseException:
        print((folder / "jobs.log").read_text()[-4000:])
        raise
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def quick(settings: Settings, topics: list[str]) -> Settings:
    """Jobs change hands after two seconds, and an app waits for them."""
    found = settings.model_copy(update={"job_lease_secs": 2.0})
    found.model_fields_set.add("job_lease_secs")
    make_app(found)
    make_app(found, "second")
    return found


def import_request(settings: Settings, key: str, **given: Any) -> dict[str, Any]:
    return {"Format": "JSON", "S3Url": f"s3://{settings.s3_bucket}/{key}", "RoleArn": ROLE, "RegisterEndpoints": True} | given


def create_import(pinpoint: Any, settings: Settings, key: str, app_id: str = "shop", **given: Any) -> dict[str, Any]:
    answer = pinpoint.create_import_job(ApplicationId=app_id, ImportJobRequest=import_request(settings, key, **given))
    job: dict[str, Any] = answer["ImportJobResponse"]
    return job


def ended_import(pinpoint: Any, job: dict[str, Any]) -> dict[str, Any]:
    return _ended(lambda: pinpoint.get_import_job(ApplicationId=job["ApplicationId"], JobId=job["Id"])["ImportJobResponse"])


def ended_export(pinpoint: Any, job: dict[str, Any]) -> dict[str, Any]:
    return _ended(lambda: pinpoint.get_export_job(ApplicationId=job["ApplicationId"], JobId=job["Id"])["ExportJobResponse"])


def _ended(ask: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def is_ended() -> bool:
        found.update(ask())
        return found["JobStatus"] in {"COMPLETED", "FAILED"}

    wait_until(is_ended, "the job has ended")
    return found


def run_jobs(settings: Settings) -> None:
    """Every job that waits, in this process."""
    engine = open_definitions(settings)
    runner = JobRunner(settings, engine, threading.Event())
    while runner.run_one():
        pass
    engine.dispose()


def refusal(call: Any, **given: Any) -> tuple[str, int, str]:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**given)
    said = caught.value.response
    return said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Message"]


def test_boto3_imports_and_exports_and_imports_again_and_all_is_equal(quick: Settings, tmp_path: Path) -> None:
    store = build_store(quick)
    text = "".join(json.dumps(each) + "\n" for each in PINPOINT) + '{"Id":"bad","OptOut":"MAYBE"}\n'
    store.put("in/part-0.json.gz", gzip.compress(text.encode()))
    store.put("in/other.csv", b"Id\none\n")
    with serving(ApiProcess(quick, tmp_path)) as api, running(WorkerProcess(quick, tmp_path)), job_runner(quick, tmp_path) as runner:
        pinpoint = client("pinpoint", api, make_access_key(quick))
        job = create_import(pinpoint, quick, "in", ExternalId="x", SegmentName="later", DefineSegment=False)
        assert (job["JobStatus"], job["Type"], job["ApplicationId"], job["TotalPieces"]) == ("CREATED", "IMPORT", "shop", 0)
        done = ended_import(pinpoint, job)
        counts = {name: done[name] for name in ("TotalPieces", "CompletedPieces", "FailedPieces", "TotalProcessed", "TotalFailures")}
        assert counts == {"TotalPieces": 1, "CompletedPieces": 1, "FailedPieces": 0, "TotalProcessed": 3, "TotalFailures": 1}, done
        assert done["JobStatus"] == "COMPLETED"
        assert done["CreationDate"] < done["CompletionDate"]
        assert done["Definition"] == import_request(quick, "in", DefineSegment=False, ExternalId="x", SegmentName="later")
        said = "\n".join(done["Failures"])
        assert "line 4: field 'OptOut' is '\"MAYBE\"'; expected one of ALL, NONE" in said
        assert f"s3://{quick.s3_bucket}/in/other.csv: passed over: it is not JSON" in said
        report = f"s3://{quick.s3_bucket}/jobs/{job['Id']}/"
        assert f"every rejected row stands in {report}" in said
        ((key, rejected),) = [(each.key, store.get(each.key)) for each in store.list_objects(f"jobs/{job['Id']}/")]
        assert json.loads(rejected) == {
            "row": 4,
            "line": 4,
            "field": "OptOut",
            "value": '"MAYBE"',
            "reason": "expected one of ALL, NONE",
        }, key
        first = wait_for(quick, "shop", 3)
        request = {"S3UrlPrefix": f"s3://{quick.s3_bucket}/out", "RoleArn": ROLE}
        made = pinpoint.create_export_job(ApplicationId="shop", ExportJobRequest=request)["ExportJobResponse"]
        assert (made["JobStatus"], made["Type"], made["Definition"]) == ("CREATED", "EXPORT", request)
        exported = ended_export(pinpoint, made)
        assert (exported["JobStatus"], exported["TotalProcessed"], exported["CompletedPieces"]) == ("COMPLETED", 3, 1), exported
        assert [each.key[:-22] for each in store.list_objects(f"out/{made['Id']}/part")] == [f"out/{made['Id']}/part-0000"]
        again = ended_import(pinpoint, create_import(pinpoint, quick, "out", "second"))
        assert (again["TotalProcessed"], again["TotalFailures"], again["JobStatus"]) == (3, 0, "COMPLETED"), again
        assert wait_for(quick, "second", 3) == first
        listed = pinpoint.get_import_jobs(ApplicationId="shop")["ImportJobsResponse"]["Item"]
        assert [each["Id"] for each in listed] == [job["Id"]]
        assert pinpoint.get_export_jobs(ApplicationId="shop")["ExportJobsResponse"]["Item"] == [exported]
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(20) == 0
    assert state(quick, "shop") == first


def test_a_job_that_cannot_be_is_refused_with_what_was_expected(quick: Settings, tmp_path: Path) -> None:
    with serving(ApiProcess(quick, tmp_path)) as api:
        pinpoint = client("pinpoint", api, make_access_key(quick))

        def refused(app_id: str = "shop", **given: Any) -> tuple[str, int, str]:
            return refusal(pinpoint.create_import_job, ApplicationId=app_id, ImportJobRequest=import_request(quick, "in", **given))

        for given, said in (
            ({"DefineSegment": True, "SegmentName": "s"}, "asks for a segment, and imports make none yet"),
            ({"SegmentId": "s"}, "asks for a segment"),
            ({"RegisterEndpoints": False}, "the job would do nothing"),
            ({"Format": "XML"}, "expected one of CSV, JSON"),
            ({"S3Url": "https://x/y"}, "expected s3://bucket/prefix"),
            ({"S3Url": f"s3://{quick.s3_bucket}/lake/events"}, "the lake's own folder"),
        ):
            code, status, message = refused(**given)
            assert (code, status) == ("BadRequestException", 400)
            assert said in message
        assert refused("nobody")[:2] == ("NotFoundException", 404)
        assert refusal(pinpoint.get_import_job, ApplicationId="shop", JobId="none")[:2] == ("NotFoundException", 404)
        export = {"S3UrlPrefix": f"s3://{quick.s3_bucket}/out", "RoleArn": ROLE, "SegmentId": "s"}
        assert "the endpoints of a segment" in refusal(pinpoint.create_export_job, ApplicationId="shop", ExportJobRequest=export)[2]
        made = [create_import(pinpoint, quick, f"in/{number}") for number in range(3)]
        code, status, message = refused(S3Url=f"s3://{quick.s3_bucket}/in/1")
        assert (code, status) == ("ConflictException", 409)
        assert made[1]["Id"] in message
        page = pinpoint.get_import_jobs(ApplicationId="shop", PageSize="2")["ImportJobsResponse"]
        rest = pinpoint.get_import_jobs(ApplicationId="shop", PageSize="2", Token=page["NextToken"])["ImportJobsResponse"]
        assert [each["Id"] for each in page["Item"] + rest["Item"]] == [each["Id"] for each in made]
        assert "NextToken" not in rest


def test_a_job_asked_for_twice_says_what_was_imported_before_and_a_wrong_address_that_it_is_not_there(
    quick: Settings, tmp_path: Path
) -> None:
    build_store(quick).put("in/a.csv", b"Id\none\ntwo\n")
    with serving(ApiProcess(quick, tmp_path)) as api:
        pinpoint = client("pinpoint", api, make_access_key(quick))
        first = create_import(pinpoint, quick, "in/a.csv", Format="CSV")
        run_jobs(quick)
        assert ended_import(pinpoint, first)["JobStatus"] == "COMPLETED"
        second, missing, empty = (create_import(pinpoint, quick, key, Format="CSV") for key in ("in/a.csv", "nowhere", "in"))
        run_jobs(quick)
        said = ended_import(pinpoint, second)
        assert (said["JobStatus"], said["FailedPieces"], said["TotalProcessed"]) == ("FAILED", 1, 0)
        assert f"as 's3://{quick.s3_bucket}/in/a.csv'" in said["Failures"][0]
        assert "is not there; expected a file" in ended_import(pinpoint, missing)["Failures"][0]
        assert ended_import(pinpoint, empty)["JobStatus"] == "FAILED"
    assert len(sent_updates(quick)) == 2


def test_a_runner_killed_again_and_again_loses_and_repeats_no_row(quick: Settings, tmp_path: Path) -> None:
    rows = 40_000
    for name in ("a", "b"):
        build_store(quick).put(f"in/{name}.csv", write_csv(tmp_path / "x.csv", rows).read_bytes().replace(b"endpoint-", name.encode()))
    with changing(open_definitions(quick)) as connection:
        job = create_job(connection, "shop", JobKind.IMPORT, f"s3://{quick.s3_bucket}/in", EMPTY)
    engine = open_definitions(quick)

    def now() -> Any:
        with reading(engine) as connection:
            return find_job(connection, "shop", JobKind.IMPORT, job.job_id)

    ledgers = quick.home / "imports" / "endpoints" / "shop"

    def notes() -> list[str]:
        return [path.read_text() for path in ledgers.glob("*.json")]

    for _ in range(3):
        before = notes()
        with job_runner(quick, tmp_path):
            wait_until(functools.partial(_is_further, notes, before, lambda: now().is_ended), "it is further")
    assert not now().is_ended
    # Two at once: one runs it, the other finds nothing to do.
    with job_runner(quick, tmp_path), job_runner(quick, tmp_path):
        wait_until(lambda: now().is_ended, "the job has ended")
    found = now()
    assert (found.status, found.total_processed, found.completed_pieces) == (JobStatus.COMPLETED, 2 * rows, 2), found.failures
    # Every row under one id, and few of them twice in the topic: what was on its way when a runner was killed.
    ids = sent_ids(quick)
    assert len(ids) == 2 * rows
    assert len(list(ledgers.glob("*.json"))) == 0
    engine.dispose()


def _is_further(notes: Callable[[], list[str]], before: list[str], is_ended: Callable[[], bool]) -> bool:
    return is_ended() or notes() != before


def test_a_file_that_was_finished_just_before_its_runner_died_counts_as_done(quick: Settings, tmp_path: Path) -> None:
    build_store(quick).put("in/a.csv", b"Id\none\ntwo\n")
    engine = open_definitions(quick)
    with changing(engine) as connection:
        job = create_job(connection, "shop", JobKind.IMPORT, f"s3://{quick.s3_bucket}/in/a.csv", EMPTY)
    run_jobs(quick)
    with changing(engine) as connection:
        # As a runner leaves it that is killed between the lake's table and the job's row.
        address = f"s3://{quick.s3_bucket}/in/a.csv"
        pieces = {address: {"status": "started", "processed": 0, "failures": 0, "said": []}}
        connection.execute(jobs.update().values(status=JobStatus.PROCESSING, owner=None, pieces_json=json.dumps(pieces)))
    run_jobs(quick)
    with reading(engine) as connection:
        found = find_job(connection, "shop", JobKind.IMPORT, job.job_id)
    assert found is not None
    assert (found.status, found.total_processed, found.completed_pieces) == (JobStatus.COMPLETED, 2, 1)
    assert len(sent_updates(quick)) == 2
    engine.dispose()


def test_jobs_need_the_scope_to_manage(quick: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    from pipeline.definitions.key import Scope

    with serving(ApiProcess(quick, tmp_path)) as api:
        reader = client("pinpoint", api, make_access_key(quick, scopes=frozenset({Scope.READ, Scope.INGEST})))
        assert refusal(reader.create_import_job, ApplicationId="shop", ImportJobRequest=import_request(quick, "in"))[1] == 403
        assert refusal(reader.get_import_jobs, ApplicationId="shop")[1] == 403
        elsewhere = client("pinpoint", api, make_access_key(quick, "second"))
        assert refusal(elsewhere.get_export_jobs, ApplicationId="shop")[1] == 403
