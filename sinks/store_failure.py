"""Why a store could not be used, in one line for people: from whatever botocore, delta-rs or DuckDB raised."""

import re

import botocore.exceptions

from sinks.store import Store

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_REFUSAL = re.compile(r"\b403 Forbidden\b|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|lacked the necessary privileges")
_SKEW = re.compile(r"RequestTimeTooSkewed|RequestExpired")
CLOCK_WAY_OUT = "set this machine's clock, and keep it by NTP (timedatectl set-ntp true), or the store's"

# delta-rs puts this before each cause; the last is the one that says something.
_DELTA_CAUSE = "↳"


def is_for_a_person(error: Exception) -> bool:
    """True when waiting will not help: the bucket is not there, or the key is refused. A clock may come right by itself."""
    text = _read_text(error)
    return not _SKEW.search(text) and ("NoSuchBucket" in text or _REFUSAL.search(text) is not None)


def is_clock_refused(error: Exception) -> bool:
    """True when the store refuses the time at which a request was signed: this machine's clock or the store's is wrong."""
    return _SKEW.search(_read_text(error)) is not None


def explain_failure(store: Store, error: Exception) -> str:
    """One line: the store, the bucket, what was wrong and the way out; no colour codes."""
    text = _read_text(error)
    place = f"The S3 store at '{store.endpoint or 'AWS'}' (HEADWATER_S3_ENDPOINT)"
    bucket = f"bucket '{store.bucket}' (HEADWATER_S3_BUCKET)"
    if "NoSuchBucket" in text:
        way_out = "create it ('headwater up' does)" if store.is_local else "create it"
        return f"{place} has no {bucket}; {way_out}, or name another."
    if _SKEW.search(text):
        return f"{place} refuses the clock of this machine for {bucket}: {_find_cause(text)}; {CLOCK_WAY_OUT}."
    if _REFUSAL.search(text):
        return (
            f"{place} refuses the key for {bucket}: {_find_cause(text)}; let the key at the bucket, or set another "
            "(HEADWATER_S3_ACCESS_KEY_ID and its secret; for readers HEADWATER_S3_READER_ACCESS_KEY_ID and its secret)."
        )
    way_out = "start the local stack ('headwater up'), or name another store" if store.is_local else "start it, or name another"
    return f"{place} did not answer for {bucket}: {_find_cause(text)}; {way_out}."


def _read_text(error: Exception) -> str:
    if isinstance(error, botocore.exceptions.ClientError) and error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        return f"{error} (403 Forbidden)"
    return _COLOUR.sub("", str(error)).strip()


def _find_cause(text: str) -> str:
    code = re.search(r"<Code>([^<]*)</Code>", text)
    if code:
        message = re.search(r"<Message>([^<]*)</Message>", text)
        return " ".join(f"{code[1]}: {message[1]}".split() if message else code[1].split()).rstrip(".")
    line = text.rpartition(_DELTA_CAUSE)[2].strip() if _DELTA_CAUSE in text else next(iter(text.splitlines()), "no reason given")
    return " ".join(line.split()).rstrip(".")
