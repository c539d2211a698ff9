"""Schemas of a Confluent-compatible schema registry by id: `GET /schemas/ids/{id}`. Implements agents.avro.schemas.Registry.

An id means one schema for ever, so what was found is kept for ever; that there is none of an id, for seconds only. A registry that does
not answer, or not as one, is a failing system: nothing is decided of the records that wait for it.
"""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
import urllib3

from agents.avro.writer_schema import SchemaError, WriterSchema, read_schema
from schemas.errors import UnavailableError

CONNECT_SECS_MAX = 3.0
ANSWER_SECS_MAX = 5.0
ANSWER_BYTES_MAX = 10_000_000
MISSING_SECS = 30.0
# One flush may ask for so many ids that there are not: a stream of random ones must not hold up what lands beside them.
MISSES_MAX = 200
# When the answers of one flush have taken so long, the worker looks up from it before it goes on.
FLUSH_SECS_MAX = 20.0
REFERENCES_MAX = 100
# What a registry says of an id, and of a subject or version, that it has not; any other 404 is somebody else's.
_NOT_FOUND_CODES = {40401, 40402, 40403}


class _NotThereError(Exception):
    """The registry says that it has no such thing."""


class SchemaRegistry:
    """One registry. Runs in one thread."""

    def __init__(self, address: str, username: str = "", password: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._address, self._clock = address.rstrip("/"), clock
        self._session = requests.Session()
        # Settings say all: neither proxies nor passwords come from the environment or from ~/.netrc.
        self._session.trust_env = False
        self._session.headers["Accept"] = "application/vnd.schemaregistry.v1+json, application/json"
        if username:
            self._session.auth = (username, password)
        self._found: dict[int, WriterSchema | SchemaError] = {}
        self._missing: dict[int, float] = {}
        self._misses, self._begun_at = 0, clock()

    def begin(self) -> None:
        now = self._clock()
        self._missing = {number: until for number, until in self._missing.items() if until > now}
        self._misses, self._begun_at = 0, now

    def find(self, schema_id: int) -> WriterSchema:
        """Raises SchemaError and UnavailableError."""
        if schema_id not in self._found:
            self._check_missing(schema_id)
            if self._clock() > self._begun_at + FLUSH_SECS_MAX:
                raise UnavailableError(self._say("answers slowly"))
            try:
                self._found[schema_id] = self._load(schema_id)
            except _NotThereError:
                self._missing[schema_id] = self._clock() + MISSING_SECS
                self._misses += 1
                raise SchemaError(f"the registry at '{self._address}' has no schema of it") from None
            except SchemaError as error:
                self._found[schema_id] = error
        found = self._found[schema_id]
        if isinstance(found, SchemaError):
            raise found
        return found

    def _check_missing(self, schema_id: int) -> None:
        if self._missing.get(schema_id, 0.0) > self._clock():
            raise SchemaError(f"the registry at '{self._address}' had no schema of it within the last {MISSING_SECS:g} s")
        if self._misses >= MISSES_MAX:
            raise SchemaError(f"it was not asked for, since the registry had none of {MISSES_MAX} other ids of the same flush")

    def _load(self, schema_id: int) -> WriterSchema:
        answer = self._get(f"/schemas/ids/{schema_id}")
        kind = answer.get("schemaType") or "AVRO"
        if kind != "AVRO":
            raise SchemaError(f"it is of type {kind}, and only AVRO is read")
        try:
            references = self._load_references(answer)
        except _NotThereError:
            raise SchemaError("the registry has not all the schemas that it refers to") from None
        return read_schema(answer["schema"], f"schema id {schema_id}", references)

    def _load_references(self, answer: Mapping[str, Any]) -> list[str]:
        """The texts of what a schema refers to, each after what it refers to itself, and each once."""
        loaded: dict[tuple[str, int], str] = {}
        begun: set[tuple[str, int]] = set()

        def load(referring: Mapping[str, Any]) -> None:
            for reference in referring.get("references") or ():
                place = (str(reference["subject"]), int(reference["version"]))
                if place in begun:
                    continue
                if len(begun) == REFERENCES_MAX:
                    raise SchemaError(f"it refers to more than {REFERENCES_MAX} schemas")
                begun.add(place)
                subject = requests.utils.quote(place[0], safe="")  # type: ignore[attr-defined]
                referred = self._get(f"/subjects/{subject}/versions/{place[1]}")
                load(referred)
                loaded[place] = referred["schema"]

        try:
            load(answer)
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, SchemaError):
                raise
            raise UnavailableError(self._say(f"answered references that are none ({error})")) from None
        return list(loaded.values())

    def _get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path that has a schema.

        Raises _NotThereError where the registry says that it has none, UnavailableError for every other answer.
        """
        try:
            # Where a registry leads to, nobody has said that it may be asked: a redirect is an answer without a schema.
            with self._session.get(
                self._address + path, timeout=(CONNECT_SECS_MAX, ANSWER_SECS_MAX), stream=True, allow_redirects=False
            ) as response:
                status, body = response.status_code, self._read(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise UnavailableError(self._say(f"did not answer ({_find_cause(error)})")) from None
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if status in {401, 403}:
            raise UnavailableError(
                self._say(f"refuses the login ({status}); expected HEADWATER_AVRO_REGISTRY_USERNAME and _PASSWORD to be let in")
            )
        if status == 404 and isinstance(answer, dict) and answer.get("error_code") in _NOT_FOUND_CODES:
            raise _NotThereError
        if status != 200 or not isinstance(answer, dict) or not isinstance(answer.get("schema"), str):
            raise UnavailableError(self._say(f"answered {status} to '{path}' and no schema"))
        return answer

    def _read(self, response: requests.Response) -> bytes:
        """The body, within bounds of time and size however slowly it comes."""
        end, body = self._clock() + ANSWER_SECS_MAX, bytearray()
        while piece := response.raw.read1(65_536, decode_content=True):
            body += piece
            if len(body) > ANSWER_BYTES_MAX:
                raise OSError(f"more than {ANSWER_BYTES_MAX:,} bytes")
            if self._clock() > end:
                raise TimeoutError(f"not all of it within {ANSWER_SECS_MAX:g} s")
        return bytes(body)

    def _say(self, what: str) -> str:
        return f"The schema registry at '{self._address}' {what}; start it, or mend HEADWATER_AVRO_REGISTRY. Records that need it wait."


def _find_cause(error: BaseException) -> str:
    """The innermost cause: what a person can act on."""
    text = str(error)
    while (inner := error.__cause__ or error.__context__) is not None:
        error, text = inner, str(inner) or text
    return " ".join(text.split()) or type(error).__name__
