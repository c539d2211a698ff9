"""What people would do to us by SQL: payloads for whatever takes statements, expressions, names or values from outside, and the look at what they did.

Whoever takes such input holds it against these lists: `assert_inert(run, payload, trap)`, where `run` takes the payload the whole way in and gives
back all that its sender would see. Payloads have places that the trap fills in: FILE, OUT, URL.
"""

import random
import uuid
from collections.abc import Callable
from pathlib import Path

import duckdb

from schemas.errors import HeadwaterError
from tests.faults.wire.canary import SECRET, Canary

# Expressions of one value. Those that a DuckDB without any guard would let read the file, or ask the server, among them.
EXPRESSIONS = (
    "(select content from read_text('FILE'))",
    "(select content::varchar from read_blob('FILE'))",
    "(select column0 from read_csv('FILE', header = false))",
    "(select string_agg(file) from glob('FILE*'))",
    "(select content from read_text('URL/x'))",
    "(select content from system.main.read_text('FILE'))",
    "(with t as (from read_text('FILE')) select content from t)",
    "(select max(content) from (values (1)) v(i), lateral (select * from read_text('FILE')) t)",
    "(select any_value(content) from read_text(['FILE']))",
    "(select json(t)::varchar from 'FILE' t)",
    "coalesce((select max(content) from \"read_text\"('FILE')), '')",
    "list_transform([1], lambda x: (select content from read_text('FILE')))[1]",
    "case when true then (select content from read_text('FILE')) end",
    "getenv('HEADWATER_TRAP')",
    "current_setting('temp_directory') || (select content from read_text('FILE'))",
    "(select string_agg(value::varchar) from duckdb_settings())",
    "(select string_agg(secret_string) from duckdb_secrets())",
    "(select count(*)::varchar from query('select 1'))",
    "(select content from query('from read_text(''FILE'')'))",
)

# Whole statements, beside the expressions, each of which is one with a select before it.
STATEMENTS = (
    "from read_text('FILE')",
    "table 'FILE'",
    "copy (select 1) to 'OUT'",
    "copy (select 1) to 'URL/out'",
    "copy t from 'FILE'",
    "export database 'OUT'",
    "attach 'OUT' as o",
    "attach 'URL/x.db' as o (read_only)",
    "install spatial from 'URL'",
    "install 'URL/evil.duckdb_extension'",
    "load 'OUT'",
    "create table t as from read_text('FILE')",
    "create secret s (type s3, key_id 'a', secret 'b')",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set memory_limit = '900GB'",
    "reset allowed_directories",
    "pragma database_list",
    "call pragma_version()",
    "drop view core.events",
    "create or replace view core.events as select 1",
    "prepare p as from read_text('FILE')",
    "execute immediate 'select 1'",
    "explain analyze from read_text('FILE')",
    "select 1; copy (select 1) to 'OUT'",
    "select 1;; from read_text('FILE')",
    "select 1 -- \n; copy (select 1) to 'OUT'",
    "select 1 /* */ ; /* */ attach 'OUT' as o",
)

# Values and names, as they would be typed where one value is asked for: each means to end a quotation and go on.
VALUES = (
    "' or 1=1 --",
    "' or '1'='1",
    "x'; copy (select 1) to 'OUT'; --",
    "x' union all select content from read_text('FILE') --",
    "' || (select content from read_text('FILE')) || '",
    "x'; attach 'OUT' as o; --",
    '" or 1=1 --',
    'x"; drop view core.events; --',
    "\u2019 or 1=1 --",
    "\u02bc or 1=1 --",
    "\uff07 or 1=1 --",
    "\\' or 1=1 --",
    "'' or 1=1 --",
    "$$ or 1=1 --",
    "$x$ or 1=1 --",
    "%",
    "_",
    "{{7*7}}",
    "$1",
    "?",
    "*",
    "\0' or 1=1 --",
    "') or (1=1",
    "x') union select content from read_text('FILE') --",
    "1; select content from read_text('FILE')",
    "'/**/or/**/1=1/**/--",
    "null) or true or (null",
)


class Trap:
    """A file that holds a secret, a place where nothing may be written, and a server that nobody may ask."""

    def __init__(self, folder: Path, canary: Canary) -> None:
        self.secret = f"of-the-trap-{uuid.uuid4().hex}"
        self.file, self.out = folder / "secret.json", folder / "written"
        self.file.write_text(f'{{"a": "{self.secret}"}}\n')
        self._canary, self._folder = canary, folder
        self._there = set(folder.iterdir())

    def arm(self, payload: str) -> str:
        """The payload with its places filled in."""
        return payload.replace("FILE", str(self.file)).replace("OUT", str(self.out)).replace("URL", self._canary.address)

    def harm(self, said: str) -> str:
        """What has happened, given what was said back; '' for nothing. What was written is removed."""
        found = []
        # A refusal may repeat what was asked for, the file's name in it, and never what is in it.
        if self.secret in said or SECRET in said:
            found.append("read the file" if self.secret in said else "read from the server")
        for path in set(self._folder.iterdir()) - self._there:
            found.append("wrote a file")
            if path.is_dir():
                for each in path.iterdir():
                    each.unlink()
                path.rmdir()
            else:
                path.unlink()
        if self._canary.connections:
            found.append("asked the server")
            self._canary.connections = 0
        return ", ".join(found)


def attempt(run: Callable[[str], object], payload: str, trap: Trap) -> tuple[bool, str]:
    """Whether the payload was run at all, and the harm that it did."""
    try:
        said = repr(run(trap.arm(payload)))
    except (HeadwaterError, duckdb.Error) as error:
        return False, trap.harm(str(error))
    return True, trap.harm(said)


def assert_inert(run: Callable[[str], object], payload: str, trap: Trap) -> bool:
    """See that a payload does no harm: it is refused by name, or is nothing but a value. Whether it was run.

    Raises AssertionError with what it did. Any error but ours and DuckDB's is a crash, and comes out as it is.
    """
    was_run, harm = attempt(run, payload, trap)
    assert harm == "", f"{payload!r} {harm}"
    return was_run


def vary(payload: str, chance: random.Random) -> str:
    """The payload in another dress: case of its words, comments and white space between them, another quotation, something before or after it."""
    words = payload.split(" ")
    between = [" ", "  ", "\t", "\n", " /* */ ", " -- x\n", "\u00a0"]
    weights = [8, 2, 1, 1, 1, 1, 0.3]
    dressed = words[0]
    for word in words[1:]:
        is_path = "/" in word
        cased = word if is_path else chance.choice([word, word, word.upper(), word.swapcase() if "'" not in word else word])
        dressed += chance.choices(between, weights)[0] + cased
    if chance.random() < 0.15:
        dressed = dressed.replace("'", chance.choice(["\u2019", "\u02bc", "\uff07", "$$"]))
    if chance.random() < 0.2:
        dressed = chance.choice(["", ";", "/**/", "-- x\n", "\ufeff", "("]) + dressed + chance.choice(["", ";", " --", ";;", " /*", ")"])
    return dressed
