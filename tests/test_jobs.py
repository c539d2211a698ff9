"""Import and export jobs: asked for by boto3, run by processes that may be killed, each row once whatever happens to them."""

import datetime as dt
import functools
import gzip
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.exceptions
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from sqlalchemy import Engine

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.definitions.apps import create_app
from pipeline.definitions.database import changing, open_definitions, reading
from pipeline.definitions.key import Scope
from pipeline.definitions.tables import jobs
from pipeline.endpoints.files import export
from pipeline.endpoints.files.export import NOTE, find_export
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.imports.outcome import Status
from pipeline.imports.run import ImportRun
from pipeline.jobs import import_job
from pipeline.jobs import lease as lease_module
from pipeline.jobs import runner as runner_module
from pipeline.jobs.export_job import run_export
from pipeline.jobs.import_job import run_import
from pipeline.jobs.lease import Lease, LeaseLostError, take_job
from pipeline.jobs.records import ENDED, Job, JobKind, JobStatus, RivalJobError, create_job, find_job, list_jobs
from pipeline.jobs.runner import JobRunner
from pipeline.jobs.tally import Tally
from pipeline.jobs.urls import check_job_url
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import HeadwaterError, UnavailableError, UsageError
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.endpoint_exports import PINPOINT, import_into, pinpoint_export, state, wait_for
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


def test_a_job_that_waits_lets_others_go_first_and_the_attempts_are_counted(shop: Engine) -> None:
    first, second = new_job(shop), new_job(shop, "s3://x/z", NOON + dt.timedelta(seconds=1))
    at = NOON + dt.timedelta(seconds=2)

    def take() -> Job:
        found = take_job(shop, "a", 30, lambda: at)
        assert found is not None
        return found

    job = take()
    assert (job.job_id, job.attempts) == (first, 1)
    lease = Lease(shop, job, "a", 30, threading.Event(), lambda: at)
    lease.release(next_at=at + dt.timedelta(seconds=10))
    assert take().job_id == second
    assert take_job(shop, "a", 30, lambda: at) is None
    # Who lets a job go that is another's says so and goes on.
    lease.release()
    at += dt.timedelta(seconds=10)
    job = take()
    assert (job.job_id, job.attempts) == (first, 2)
    Lease(shop, job, "a", 30, threading.Event(), lambda: at).save(total_processed=1, owner=None)
    assert take().attempts == 1


def test_a_heartbeat_goes_on_after_whatever_the_database_said(shop: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    new_job(shop)
    job = take_job(shop, "a", 30)
    assert job is not None
    lease, beats, is_third = Lease(shop, job, "a", 0.03, threading.Event()), [1, 2, 3], threading.Event()

    def save() -> None:
        if beats.pop(0) == 1:
            raise UsageError("The database cannot be used.")
        if beats == [3]:
            raise UnavailableError("The database does not answer.")
        is_third.set()
        raise LeaseLostError("It is another's.")

    monkeypatch.setattr(lease, "save", save)
    with lease:
        assert is_third.wait(60)


def test_a_runner_waits_while_the_database_is_away(shop: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "POLL_SECS", 0.01)
    is_over = threading.Event()
    answers: list[HeadwaterError | None] = [UnavailableError("It does not answer."), UsageError("It cannot be used."), None]

    def take(*_: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        is_over.set()

    monkeypatch.setattr(runner_module, "take_job", take)
    runner = JobRunner(Settings(), shop, is_over)
    runner.run()
    assert not answers


def test_a_list_of_jobs_leaves_out_what_became_of_each_file(shop: Engine) -> None:
    job_id = new_job(shop)
    pieces = {"s3://x/y/a": {"status": "failed", "processed": 0, "failures": 0, "said": []}}
    with changing(shop) as connection:
        connection.execute(jobs.update().values(pieces_json=json.dumps(pieces)))
        (listed,) = list_jobs(connection, "shop", JobKind.IMPORT)
        found = find_job(connection, "shop", JobKind.IMPORT, job_id)
    assert found is not None
    assert (dict(listed.pieces), found.pieces) == ({}, pieces)


def test_a_job_says_a_hundred_things_of_all_its_files_together(shop: Engine) -> None:
    new_job(shop)
    job = take_job(shop, "a", 30)
    assert job is not None
    tally = Tally(job)
    for name in "abc":
        tally.say(tally.piece(name), [f"line {number}" for number in range(60)])
        tally.say(tally.piece(name), [f"line {number}" for number in range(60)])
    assert [len(piece.said) for piece in tally.pieces.values()] == [60, 40, 0]
    assert len(json.loads(tally.columns()["failures_json"])) == 100


@pytest.mark.attack("S5")
@pytest.mark.parametrize(
    ("allowed", "address", "said"),
    [
        ((), "s3://headwater/apps/shop", ""),
        ((), "s3://headwater/apps/shop/in/a.csv", ""),
        ((), "s3://headwater/apps/shopping", "may use: s3://headwater/apps/shop/; expected one under them. Setting HEADWATER_JOB_URLS"),
        ((), "s3://headwater/apps/other/in", "is under none of those that jobs of app 'shop' may use"),
        ((), "s3://headwater/apps", "is under none of"),
        ((), "s3://any/where", "is under none of"),
        (("s3://in/a",), "s3://in/a", ""),
        (("s3://in/a/",), "s3://in/a/b.csv", ""),
        (("s3://out", "s3://in"), "s3://in/x", ""),
        (("s3://in/{app_id}",), "s3://in/shop/x", ""),
        (("s3://in-{app_id}",), "s3://in-shop/x", ""),
        (("s3://in/{app_id}",), "s3://in/other/x", "may use: s3://in/shop;"),
        (("s3://in/a",), "s3://in/ab", "may use: s3://in/a;"),
        (("s3://in/a",), "s3://other/a", "is under none of"),
        (("s3://headwater",), "s3://headwater/lake/events", "the lake's own folder"),
        (("s3://headwater",), "s3://headwater/lake", "the lake's own folder"),
        (("s3://headwater",), "s3://headwater/jobs/some", "the folder of jobs' reports"),
        ((), "/etc/passwd", "cannot be used; expected s3://bucket/prefix"),
        ((), "file:///etc/passwd", "cannot be used"),
    ],
)
@pytest.mark.attack("S6")
def test_addresses_of_jobs_are_those_of_the_app_or_that_the_setting_allows(allowed: tuple[str, ...], address: str, said: str) -> None:
    settings = Settings(job_urls=allowed, s3_bucket="headwater")
    if said:
        with pytest.raises(UsageError, match=said):
            check_job_url(settings, "shop", address)
    else:
        check_job_url(settings, "shop", address)


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


def allowing(settings: Settings, *urls: str) -> Settings:
    found = settings.model_copy(update={"job_urls": urls})
    found.model_fields_set.add("job_urls")
    return found


def import_request(settings: Settings, key: str, **given: Any) -> dict[str, Any]:
    return {"Format": "JSON", "S3Url": f"s3://{settings.s3_bucket}/apps/shop/{key}", "RoleArn": ROLE, "RegisterEndpoints": True} | given


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


def make_import(engine: Engine, settings: Settings, key: str, file_format: str = "CSV") -> str:
    with changing(engine) as connection:
        definition = EMPTY | {"Format": file_format}
        return create_job(connection, "shop", JobKind.IMPORT, f"s3://{settings.s3_bucket}/apps/shop/{key}", definition).job_id


def found_import(engine: Engine, job_id: str) -> Job:
    with reading(engine) as connection:
        found = find_job(connection, "shop", JobKind.IMPORT, job_id)
    assert found is not None
    return found


def run_one_import(settings: Settings, key: str, file_format: str = "CSV") -> Job:
    """An import job as it ends."""
    engine = open_definitions(settings)
    job_id = make_import(engine, settings, key, file_format)
    run_jobs(settings)
    found = found_import(engine, job_id)
    engine.dispose()
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
    # Both apps may read what the first exports.
    quick = allowing(quick, f"s3://{quick.s3_bucket}/apps/shop")
    store = build_store(quick)
    text = "".join(json.dumps(each) + "\n" for each in PINPOINT) + '{"Id":"bad","OptOut":"MAYBE"}\n'
    store.put("apps/shop/in/part-0.json.gz", gzip.compress(text.encode()))
    store.put("apps/shop/in/other.csv", b"Id\none\n")
    with serving(ApiProcess(quick, tmp_path)) as api, running(WorkerProcess(quick, tmp_path)), job_runner(quick, tmp_path) as runner:
        pinpoint = client("pinpoint", api, make_access_key(quick))
        job = create_import(pinpoint, quick, "in", ExternalId="x", DefineSegment=False)
        assert (job["JobStatus"], job["Type"], job["ApplicationId"], job["TotalPieces"]) == ("CREATED", "IMPORT", "shop", 0)
        done = ended_import(pinpoint, job)
        counts = {name: done[name] for name in ("TotalPieces", "CompletedPieces", "FailedPieces", "TotalProcessed", "TotalFailures")}
        assert counts == {"TotalPieces": 1, "CompletedPieces": 1, "FailedPieces": 0, "TotalProcessed": 3, "TotalFailures": 1}, done
        assert done["JobStatus"] == "COMPLETED"
        assert done["CreationDate"] < done["CompletionDate"]
        assert done["Definition"] == import_request(quick, "in", DefineSegment=False, ExternalId="x")
        said = "\n".join(done["Failures"])
        assert "line 4: field 'OptOut' is '\"MAYBE\"'; expected one of ALL, NONE" in said
        assert f"s3://{quick.s3_bucket}/apps/shop/in/other.csv: passed over: it is not JSON" in said
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
        request = {"S3UrlPrefix": f"s3://{quick.s3_bucket}/apps/shop/out", "RoleArn": ROLE}
        made = pinpoint.create_export_job(ApplicationId="shop", ExportJobRequest=request)["ExportJobResponse"]
        assert (made["JobStatus"], made["Type"], made["Definition"]) == ("CREATED", "EXPORT", request)
        exported = ended_export(pinpoint, made)
        assert (exported["JobStatus"], exported["TotalProcessed"], exported["CompletedPieces"]) == ("COMPLETED", 3, 1), exported
        assert [each.key[:-17] for each in store.list_objects(f"apps/shop/out/{made['Id']}/part")] == [
            f"apps/shop/out/{made['Id']}/part-00000"
        ]
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
            ({"SegmentName": "s"}, "asks for a segment"),
            ({"S3Url": f"s3://{quick.s3_bucket}/apps/second/out"}, "HEADWATER_JOB_URLS"),
            ({"S3Url": f"s3://{quick.s3_bucket}/jobs"}, "the folder of jobs' reports"),
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
        export = {"S3UrlPrefix": f"s3://{quick.s3_bucket}/apps/shop/out", "RoleArn": ROLE, "SegmentId": "s"}
        assert "the endpoints of a segment" in refusal(pinpoint.create_export_job, ApplicationId="shop", ExportJobRequest=export)[2]
        made = [create_import(pinpoint, quick, f"in/{number}") for number in range(3)]
        code, status, message = refused(S3Url=f"s3://{quick.s3_bucket}/apps/shop/in/1")
        assert (code, status) == ("ConflictException", 409)
        assert made[1]["Id"] in message
        page = pinpoint.get_import_jobs(ApplicationId="shop", PageSize="2")["ImportJobsResponse"]
        rest = pinpoint.get_import_jobs(ApplicationId="shop", PageSize="2", Token=page["NextToken"])["ImportJobsResponse"]
        assert [each["Id"] for each in page["Item"] + rest["Item"]] == [each["Id"] for each in made]
        assert "NextToken" not in rest


def test_a_job_asked_for_twice_is_done_twice_and_a_wrong_address_is_said(quick: Settings, tmp_path: Path) -> None:
    build_store(quick).put("apps/shop/in/a.csv", b"Id\none\ntwo\n")
    build_store(quick).put("apps/shop/in/b.csv", b"Id\none\ntwo\n")
    by_hand = EndpointImportOptions("shop")
    with serving(ApiProcess(quick, tmp_path)) as api:
        pinpoint = client("pinpoint", api, make_access_key(quick))
        (outcome,) = import_endpoints(quick, [f"s3://{quick.s3_bucket}/apps/shop/in/a.csv"], by_hand)
        assert outcome.status is Status.IMPORTED
        for _ in range(2):
            done = create_import(pinpoint, quick, "in", Format="CSV")
            run_jobs(quick)
            done = ended_import(pinpoint, done)
            # The second file has the content of the first.
            assert (done["JobStatus"], done["CompletedPieces"], done["FailedPieces"], done["TotalProcessed"]) == ("COMPLETED", 2, 0, 4), (
                done
            )
            assert "which this job has imported: it counts as done" in done["Failures"][0]
        (outcome,) = import_endpoints(quick, [f"s3://{quick.s3_bucket}/apps/shop/in/a.csv"], by_hand)
        assert outcome.status is Status.SKIPPED
        missing = create_import(pinpoint, quick, "nowhere", Format="CSV")
        run_jobs(quick)
        assert "is not there; expected a file" in ended_import(pinpoint, missing)["Failures"][0]
    # By hand once, and once by each job, under other ids.
    assert [len(sent_updates(quick)), len(sent_ids(quick))] == [6, 6]


def test_a_job_of_too_many_files_fails_and_says_so(quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_job, "PIECES_MAX", 1)
    for name in "ab":
        build_store(quick).put(f"apps/shop/in/{name}.csv", b"Id\none\n")
    failed = run_one_import(quick, "in")
    assert failed.status is JobStatus.FAILED
    assert "holds 2 files; expected at most 1 in a job" in failed.failures[0]
    assert not sent_updates(quick)


@pytest.mark.attack("S5")
@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_delta_log_leads_no_job_to_files_of_another_app(quick: Settings, monkeypatch: pytest.MonkeyPatch, is_guarded: bool) -> None:
    store = build_store(quick)
    table = f"s3://{quick.s3_bucket}/apps/shop/in"
    write_deltalake(table, pa.table({"Id": ["own"]}), storage_options=store.delta_options())
    store.put("apps/second/secret.json", b'{"Id":"secret"}\n')
    monkeypatch.setattr(DeltaTable, "file_uris", lambda self: [f"s3://{quick.s3_bucket}/apps/second/secret.json"])
    if not is_guarded:
        quick = allowing(quick, f"s3://{quick.s3_bucket}/apps")
    done = run_one_import(quick, "in", "JSON")
    assert done.status is (JobStatus.FAILED if is_guarded else JobStatus.COMPLETED)
    assert len(sent_updates(quick)) == (0 if is_guarded else 1)


@pytest.mark.parametrize("is_redacting", [True, False])
def test_while_redaction_is_on_no_value_of_a_rejected_row_is_written(quick: Settings, is_redacting: bool) -> None:
    if is_redacting:
        quick = quick.model_copy(update={"redact_removed": ("address",)})
    text = '{"Id":"x","OptOut":"SECRET-1"}\n{"Id":"y","Address":"SECRET-2",}\nSECRET-3\n'
    build_store(quick).put("apps/shop/in/a.json", text.encode())
    done = run_one_import(quick, "in", "JSON")
    assert (done.status, done.total_failures) == (JobStatus.COMPLETED, 3), done.failures
    (key,) = [each.key for each in build_store(quick).list_objects(f"jobs/{done.job_id}/")]
    written = build_store(quick).get(key).decode()
    assert [json.loads(line)["line"] for line in written.splitlines()] == [1, 2, 3]
    assert "line 1: field 'OptOut' is" in done.failures[0]
    for place in (written, "".join(done.failures), json.dumps(dict(done.pieces))):
        assert ("SECRET" in place) is not is_redacting, place


def test_a_job_waits_while_the_store_is_away_and_is_given_up_after_twenty_attempts(quick: Settings) -> None:
    away = quick.model_copy(update={"s3_endpoint": "http://127.0.0.1:1"})
    build_store(quick).put("apps/shop/in/a.csv", b"Id\none\n")
    engine = open_definitions(quick)
    made, at = make_import(engine, quick, "in"), dt.datetime.now(dt.UTC)
    runner = JobRunner(away, engine, threading.Event(), lambda: at)
    assert runner.run_one()
    waiting = found_import(engine, made)
    assert (waiting.status, waiting.attempts, waiting.owner) == (JobStatus.INITIALIZING, 1, None)
    assert "It waits: " in waiting.failures[0]
    assert not runner.run_one()
    with changing(engine) as connection:
        connection.execute(jobs.update().values(attempts=20))
    at += dt.timedelta(seconds=1)
    assert runner.run_one()
    ended = found_import(engine, made)
    assert ended.status is JobStatus.FAILED
    assert "begun 20 times without coming further" in ended.failures[0]
    assert "The last thing said: It waits: " in ended.failures[0]
    engine.dispose()
    assert run_one_import(quick, "in").status is JobStatus.COMPLETED


def test_a_runner_killed_again_and_again_loses_and_repeats_no_row(quick: Settings, tmp_path: Path) -> None:
    rows = 40_000
    for name in ("a", "b"):
        build_store(quick).put(
            f"apps/shop/in/{name}.csv", write_csv(tmp_path / "x.csv", rows).read_bytes().replace(b"endpoint-", name.encode())
        )
    with changing(open_definitions(quick)) as connection:
        job = create_job(connection, "shop", JobKind.IMPORT, f"s3://{quick.s3_bucket}/apps/shop/in", EMPTY)
    engine = open_definitions(quick)

    def now() -> Any:
        with reading(engine) as connection:
            return find_job(connection, "shop", JobKind.IMPORT, job.job_id)

    ledgers = quick.home / "imports" / "jobs" / job.job_id

    def notes() -> list[str]:
        return [path.read_text() for path in ledgers.glob("*.json")]

    for _ in range(3):
        before = notes()
        with job_runner(quick, tmp_path):
            wait_until(functools.partial(_is_further, notes, before, lambda: now().is_ended), "it is further")
    assert not now().is_ended
    # Two at once: one runs it, the other finds nothing to do.
    with running(WorkerProcess(quick, tmp_path)):
        with job_runner(quick, tmp_path), job_runner(quick, tmp_path):
            wait_until(lambda: now().is_ended, "the job has ended")
        wait_until(lambda: landed_rows(quick)[1] >= 2 * rows, "every row has landed")
        # What was sent twice follows what was sent first, so it has been judged as well once the last is there.
        assert landed_rows(quick) == (2 * rows, 2 * rows)
    found = now()
    assert (found.status, found.total_processed, found.completed_pieces) == (JobStatus.COMPLETED, 2 * rows, 2), found.failures
    # Every row under one id, and few of them twice in the topic: what was on its way when a runner was killed.
    ids = sent_ids(quick)
    assert len(ids) == 2 * rows
    assert len(list(ledgers.glob("*.json"))) == 0
    engine.dispose()


def landed_rows(settings: Settings) -> tuple[int, int]:
    """Rows of the table endpoint_updates, and distinct ids among them."""
    try:
        with open_reader(settings) as reader:
            found = reader.execute("select count(*), count(distinct update_id) from staging.endpoint_updates").fetchone()
    except UnavailableError:
        return 0, 0
    assert found is not None
    return found[0], found[1]


@pytest.mark.parametrize("is_guarded", [True, False])
def test_two_runners_with_homes_of_their_own_send_each_row_once(
    quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    build_store(quick).put("apps/shop/in/a.csv", b"Id\none\ntwo\n")
    engine = open_definitions(quick)
    make_import(engine, quick, "in")
    both_have_it = threading.Barrier(2)
    runners = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(quick.secrets_file, tmp_path / name)
        runners.append(JobRunner(quick.model_copy(update={"home": tmp_path / name}), engine, threading.Event()))
    if not is_guarded:
        # The control: a job may be taken that another runs, and nothing tells the two apart.
        monkeypatch.setattr(lease_module, "_is_free", lambda moment, secs: jobs.c.status.not_in(ENDED))
        runners[1].owner = runners[0].owner

        def import_together(*given: Any) -> None:
            both_have_it.wait()
            run_import(*given)

        monkeypatch.setattr("pipeline.jobs.runner.run_import", import_together)
    threads = [threading.Thread(target=runner.run_one) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(sent_ids(quick).values()) == ({1} if is_guarded else {2})
    engine.dispose()


def test_a_runner_told_to_leave_leaves_a_job_in_the_middle_and_another_goes_on(quick: Settings, tmp_path: Path) -> None:
    rows = 40_000
    build_store(quick).put("apps/shop/in/a.csv", write_csv(tmp_path / "x.csv", rows).read_bytes())
    engine = open_definitions(quick)
    job_id = make_import(engine, quick, "in")
    ledgers = quick.home / "imports" / "jobs" / job_id
    with job_runner(quick, tmp_path) as runner:
        wait_until(lambda: bool(list(ledgers.glob("*.json"))), "rows are sent")
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(120) == 0
    left = found_import(engine, job_id)
    assert (left.status, left.owner, left.attempts) == (JobStatus.PROCESSING, None, 0)
    run_jobs(quick)
    done = found_import(engine, job_id)
    assert (done.status, done.total_processed) == (JobStatus.COMPLETED, rows)
    # What was acknowledged before it left is not sent again: it waited for that.
    assert set(sent_ids(quick).values()) == {1}
    engine.dispose()


@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_runner_that_was_paused_and_lost_its_export_writes_nothing_more_into_it(
    quick: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    engine = open_definitions(quick)
    with running(WorkerProcess(quick, tmp_path)):
        assert import_into(quick, "shop", pinpoint_export(tmp_path)) == 3
        wait_for(quick, "shop", 3)
    place = f"s3://{quick.s3_bucket}/apps/shop/out"
    with changing(engine) as connection:
        job_id = create_job(connection, "shop", JobKind.EXPORT, place, {}).job_id
    is_paused, is_to_go_on = threading.Event(), threading.Event()
    write_part, lost = export._write_part, []

    def pause_first(*given: Any) -> None:
        write_part(*given)
        if not is_paused.is_set():
            is_paused.set()
            is_to_go_on.wait()

    def run_paused() -> None:
        # Without its heartbeat, as a process that is stopped.
        job = take_job(engine, "paused", 2)
        assert job is not None
        lease = Lease(engine, job, "paused", 2, threading.Event())
        try:
            run_export(quick, job, lease, Tally(job))
        except LeaseLostError as error:
            lost.append(error)

    monkeypatch.setattr(export, "_write_part", pause_first)
    if not is_guarded:
        # The control: nobody asks the database or the note.
        monkeypatch.setattr(export._Guard, "_require_hold", lambda self: None)
    thread = threading.Thread(target=run_paused)
    thread.start()
    assert is_paused.wait(300)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert JobRunner(quick, engine, threading.Event(), lambda: later).run_one()
    done = find_export(quick, f"{place}/{job_id}")
    assert done is not None
    assert done.is_finished
    is_to_go_on.set()
    thread.join()
    assert len(lost) == 1
    names = [each.key.rpartition("/")[2] for each in build_store(quick).list_objects(f"apps/shop/out/{job_id}/")]
    is_whole = sorted(names) == sorted([NOTE, *done.files]) and find_export(quick, f"{place}/{job_id}") == done
    assert is_whole is is_guarded, names
    engine.dispose()


def _is_further(notes: Callable[[], list[str]], before: list[str], is_ended: Callable[[], bool]) -> bool:
    return is_ended() or notes() != before


def test_a_file_that_was_finished_just_before_its_runner_died_counts_as_done_with_all_that_was_said(
    quick: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_store(quick).put("apps/shop/in/a.csv", b"Id,OptOut\none,\ntwo,ALL\nbad,MAYBE\n")
    engine = open_definitions(quick)
    with changing(engine) as connection:
        job = create_job(connection, "shop", JobKind.IMPORT, f"s3://{quick.s3_bucket}/apps/shop/in/a.csv", EMPTY)

    class Killed(BaseException):
        pass

    def kill(run: ImportRun) -> None:
        commit(run)
        raise Killed

    commit = ImportRun.commit
    with monkeypatch.context() as patched:
        patched.setattr(ImportRun, "commit", kill)
        with pytest.raises(Killed):
            run_jobs(quick)
    with changing(engine) as connection:
        connection.execute(jobs.update().values(owner=None))
    run_jobs(quick)
    found = found_import(engine, job.job_id)
    assert (found.status, found.total_processed, found.total_failures, found.completed_pieces) == (JobStatus.COMPLETED, 2, 1, 1)
    assert "line 4: field 'OptOut' is" in found.failures[0]
    assert found.report_address is not None
    assert found.report_address in found.failures[1]
    assert [each.size_bytes > 0 for each in build_store(quick).list_objects(f"jobs/{job.job_id}/")] == [True]
    assert len(sent_updates(quick)) == 2
    engine.dispose()


def test_jobs_need_the_scope_to_manage(quick: Settings, tmp_path: Path) -> None:
    with serving(ApiProcess(quick, tmp_path)) as api:
        reader = client("pinpoint", api, make_access_key(quick, scopes=frozenset({Scope.READ, Scope.INGEST})))
        assert refusal(reader.create_import_job, ApplicationId="shop", ImportJobRequest=import_request(quick, "in"))[1] == 403
        assert refusal(reader.get_import_jobs, ApplicationId="shop")[1] == 403
        elsewhere = client("pinpoint", api, make_access_key(quick, "second"))
        assert refusal(elsewhere.get_export_jobs, ApplicationId="shop")[1] == 403
