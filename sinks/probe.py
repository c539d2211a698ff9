"""Is this store fit for commits? Exactly-once stands on conditional PUT, so it is tried before the first record is read."""

import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions

from schemas.errors import UsageError
from sinks.store import Store
from sinks.store_failure import explain_failure, is_for_a_person

RIVALS = 8


class UnfitStoreError(UsageError):
    """The store lets a conditional PUT overwrite, or lets more than one of several rivals win."""


def probe_store(store: Store) -> None:
    """Two conditional PUTs of one key, of which the second must fail; then a race of eight, of which one must win.

    Raises UnfitStoreError when the store ignores the condition, UsageError when it has no such bucket or refuses the key; botocore's
    errors when it cannot be reached.
    """
    folder = f"lake/_probe/{uuid.uuid4()}"
    try:
        if not _put_if_absent(store, f"{folder}/twice") or _put_if_absent(store, f"{folder}/twice"):
            raise UnfitStoreError(_explain(store, "a second PUT with If-None-Match: * overwrote the first, or the first was refused"))
        winners = _race(store, f"{folder}/race")
        if winners != 1:
            raise UnfitStoreError(_explain(store, f"{winners} of {RIVALS} rival PUTs with If-None-Match: * won, and only one may"))
    except botocore.exceptions.ClientError as error:
        if not is_for_a_person(error):
            raise
        raise UsageError(explain_failure(store, error)) from error
    finally:
        # A key that may not delete leaves two objects of 16 bytes behind.
        for name in ("twice", "race"):
            with contextlib.suppress(botocore.exceptions.ClientError):
                store.client().delete_object(Bucket=store.bucket, Key=f"{folder}/{name}")


def _race(store: Store, key: str) -> int:
    start = threading.Barrier(RIVALS)

    def run() -> bool:
        start.wait()
        return _put_if_absent(store, key)

    store.client()
    with ThreadPoolExecutor(RIVALS) as pool:
        return sum(future.result() for future in [pool.submit(run) for _ in range(RIVALS)])


def _put_if_absent(store: Store, key: str) -> bool:
    try:
        store.client().put_object(Bucket=store.bucket, Key=key, Body=uuid.uuid4().bytes, IfNoneMatch="*")
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
            return False
        raise
    return True


def _explain(store: Store, found: str) -> str:
    return (
        f"The S3 store at '{store.endpoint or 'AWS'}' (HEADWATER_S3_ENDPOINT) cannot keep commits apart: {found}. Expected a store with "
        "conditional writes, such as AWS S3, the local stack's, or MinIO of 2024 or later; name another."
    )
