"""S3: it answers, the bucket is there, the writer's key opens it, rival commits are kept apart, the reader's key only reads."""

import contextlib
import re
import uuid
from collections.abc import Iterator

import botocore.exceptions

from pipeline.config import Settings
from pipeline.doctor.broker import is_stack_down
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, from_error, ok, unchecked, warning
from pipeline.stores import build_store
from schemas.errors import UsageError
from sinks.probe import probe_store
from sinks.store import Store
from sinks.store_failure import explain_failure

# How explain_failure begins what is to be done.
_BEFORE_WAY_OUT = re.compile(r"; (?=let the key|create it|start )")


def check_store(case: Case) -> Iterator[Finding]:
    """An S3 server answers; whatever it says of key and bucket."""
    settings = case.settings
    if settings.s3_is_local and is_stack_down(settings, settings.s3_port):
        yield unchecked("S3", "the local stack does not run; 'headwater up' starts it")
        return
    store = build_store(settings)
    place = store.endpoint or f"AWS, {store.region}"
    try:
        _list(store)
        yield ok("S3", f"{place} answers")
    except botocore.exceptions.ClientError:
        yield ok("S3", f"{place} answers")
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        if isinstance(error, botocore.exceptions.ParamValidationError):
            yield ok("S3", f"{place} has not been asked: the bucket's name is none")
        else:
            yield _explain("S3", store, error, "an S3 server that answers", "see that it runs and HEADWATER_S3_ENDPOINT is its address")


def check_bucket(case: Case) -> Iterator[Finding]:
    """The writer's key opens the bucket."""
    store = build_store(case.settings)
    try:
        _list(store)
    except botocore.exceptions.ParamValidationError as error:
        expected, way_out = "a name that S3 takes for a bucket, for example headwater", "set HEADWATER_S3_BUCKET"
        yield broken("S3 bucket", f"HEADWATER_S3_BUCKET is '{store.bucket}' ({_first_line(error)})", expected, way_out)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            yield _explain("S3 bucket", store, error, "a bucket that is there", "create it, or name another: HEADWATER_S3_BUCKET")
        else:
            yield _explain(
                "S3 key", store, error, "a key that may list, read and write the bucket", "set another: HEADWATER_S3_ACCESS_KEY_ID"
            )
    else:
        yield ok("S3 bucket", f"'{store.bucket}' is there, and key {store.credentials().access_key_id} opens it")


def check_conditional_writes(case: Case) -> Iterator[Finding]:
    """What exactly-once stands on: of two who write the same name one wins."""
    store = build_store(case.settings)
    try:
        probe_store(store)
    except UsageError as error:
        yield from_error("S3 conditional writes", error, way_out="name another store: HEADWATER_S3_ENDPOINT")
    except botocore.exceptions.ClientError as error:
        yield _explain("S3 conditional writes", store, error, "PUT with If-None-Match", "name another store: HEADWATER_S3_ENDPOINT")
    else:
        yield ok("S3 conditional writes", "of two, and of eight at once, one wins")


def check_reader(case: Case) -> Iterator[Finding]:
    """The key that SQL uses reads, and cannot write."""
    settings, subject = case.settings, "S3 reader's key"
    writer, reader = build_store(settings), build_store(settings, is_reader=True)
    key = reader.credentials().access_key_id
    if key == writer.credentials().access_key_id:
        yield warning(
            subject,
            f"queries use the writer's key ({key})",
            "a key that can only read: what a query might do to the lake is then the store's to refuse",
            "make one, and set HEADWATER_S3_READER_ACCESS_KEY_ID and HEADWATER_S3_READER_SECRET_ACCESS_KEY",
        )
        return
    try:
        _list(reader)
    except botocore.exceptions.ClientError as error:
        yield _explain(subject, reader, error, "a key that may list and read the bucket", "set another: HEADWATER_S3_READER_ACCESS_KEY_ID")
        return
    if _can_write(settings, reader, writer):
        yield broken(
            subject,
            f"{key} can write to bucket '{reader.bucket}'",
            "a key that can only read",
            "take its leave to write away in the store, or set another: HEADWATER_S3_READER_ACCESS_KEY_ID and its secret",
        )
    else:
        yield ok(subject, f"{key} reads, and is refused when it writes")


def _can_write(settings: Settings, reader: Store, writer: Store) -> bool:
    key = f"lake/_probe/{uuid.uuid4()}/reader"
    try:
        reader.client().put_object(Bucket=reader.bucket, Key=key, Body=b"written by the reader's key")
    except botocore.exceptions.ClientError:
        return False
    with contextlib.suppress(botocore.exceptions.ClientError):
        writer.client().delete_object(Bucket=writer.bucket, Key=key)
    return True


def _list(store: Store) -> None:
    store.client().list_objects_v2(Bucket=store.bucket, Prefix="lake/", MaxKeys=1)


def _explain(subject: str, store: Store, error: Exception, expected: str, otherwise: str) -> Finding:
    found, way_out = _BEFORE_WAY_OUT.split(explain_failure(store, error).rstrip("."), maxsplit=1)
    return broken(subject, found, expected, f"{way_out} ({otherwise})" if "HEADWATER_" not in way_out else way_out)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[-1].strip()
