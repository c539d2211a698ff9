"""`headwater apps` and `headwater keys`, as a shell sees them."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from pipeline.cli import main
from pipeline.config import Settings
from pipeline.definitions.database import changing, open_definitions, reading
from pipeline.definitions.keys import load_key_ring
from pipeline.definitions.vault import build_vault
from pipeline.stack.programs import environment
from tests.conftest import headwater

pytestmark = pytest.mark.attack("S1")

POOL = "eu-central-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(definitions_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """run("apps", "list", typed="text on standard input"): exit status, standard output, standard error. In this process, to be quick."""
    for name, value in environment(definitions_settings).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["headwater", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_an_app_from_its_creation_to_its_end(run: Run) -> None:
    assert run("apps", "create", "Shop", "--id", "shop", "--tag", "team=a=b", "--tag", "empty=") == (0, "shop\n", "")
    status, made, _ = run("apps", "create", "Other", "--json")
    other = json.loads(made)
    assert (status, other["name"], other["version"], len(other["app_id"])) == (0, "Other", 1, 32)
    assert run("apps", "guests", "shop", "--pool", POOL) == (0, f"{POOL}\n", "")
    listed = json.loads(run("apps", "list", "--json")[1])
    assert [(app["app_id"], app["tags"]) for app in listed] == [("shop", {"empty": "", "team": "a=b"}), (other["app_id"], {})]
    assert re.search(r"shop +│ Shop .*team=a=b", run("apps", "list")[1])
    shown = json.loads(run("apps", "show", "shop", "--json")[1])
    assert (shown["guest_pools"], shown["settings"], shown["event_stream"], shown["keys"]) == ([POOL], {}, None, [])
    assert POOL in run("apps", "show", "shop")[1]
    status, said, error = run("apps", "delete", "shop", typed="n\n")
    assert (status, said) == (2, "")
    assert "Delete app 'shop' (Shop)" in error
    assert "expected the answer y, or option '--yes'" in error
    assert run("apps", "delete", "shop", typed="y\n")[:2] == (0, "App 'shop' is deleted; its events stay in the lake.\n")
    status, said, error = run("apps", "delete", "shop", "--yes")
    assert (status, said, error.strip()) == (2, "", "headwater: There is no app 'shop'; 'headwater apps list' shows those that there are.")
    assert json.loads(run("apps", "delete", other["app_id"], "--yes", "--json")[1])["name"] == "Other"
    assert json.loads(run("apps", "list", "--json")[1]) == []


def test_guests_are_let_in_and_forbidden(run: Run) -> None:
    run("apps", "create", "Shop", "--id", "shop")
    run("apps", "create", "Other", "--id", "other")
    _, made, _ = run("apps", "guests", "shop")
    pool = made.strip()
    assert pool.startswith("us-east-1:")
    assert "belongs to app 'shop'" in run("apps", "guests", "other", "--pool", pool)[2]
    status, said, error = run("apps", "guests", "other", "--forbid", pool)
    assert (status, said) == (2, "")
    assert f"App 'other' has no guest pool '{pool}'" in error
    status, said, _ = run("apps", "guests", "shop", "--forbid", pool, "--json")
    assert (status, json.loads(said)) == (0, {"app_id": "shop", "pool_id": pool, "is_allowed": False})
    assert json.loads(run("apps", "show", "shop", "--json")[1])["guest_pools"] == []
    assert "are both given" in run("apps", "guests", "shop", "--pool", POOL, "--forbid", POOL)[2]


@pytest.mark.parametrize("tags", [["--tag", "team"], ["--tag", "=x"], ["--tag", "a=1", "--tag", "a=2"]])
def test_a_tag_that_is_no_name_and_value_is_refused(run: Run, tags: list[str]) -> None:
    status, said, error = run("apps", "create", "Shop", *tags)
    assert (status, said) == (2, "")
    assert "expected name=value, each name once" in error


def test_a_shell_takes_a_key_as_it_is_printed_and_the_secret_is_told_once(run: Run, definitions_settings: Settings) -> None:
    run("apps", "create", "Shop", "--id", "shop")
    status, lines, said = run(
        "keys", "create", "--app", "shop", "--scope", "read", "--scope", "manage", "--events-per-sec", "9", "--note", "x"
    )
    assert status == 0
    assert "shown this once" in said
    told = subprocess.run(
        ["bash", "-c", 'set -a; source /dev/stdin; env | grep "^AWS_"'],
        env={"PATH": os.environ["PATH"]},
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    variables = dict(line.split("=", 1) for line in told.splitlines())
    assert sorted(variables) == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    opened = open_definitions(definitions_settings)
    with reading(opened) as connection:
        ((key, secret),) = load_key_ring(connection, build_vault(definitions_settings)).access.values()
    opened.dispose()
    assert variables == {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": secret}
    assert (sorted(key.scopes), key.app_id, key.events_per_sec, key.note) == (["manage", "read"], "shop", 9, "x")
    later = [*run("keys", "list"), *run("keys", "list", "--json", "--revoked"), *run("apps", "show", "shop"), said]
    assert not [text for text in later if secret in str(text)]
    assert key.key_id in run("keys", "list")[1]


def test_a_write_key_is_one_line_or_json(run: Run) -> None:
    status, line, said = run("keys", "create", "--write")
    assert status == 0
    assert re.fullmatch(r"WRITE_KEY=hwk_[A-Za-z0-9_-]{43}\n", line)
    assert "shown this once" in said
    found = json.loads(run("keys", "create", "--write", "--json")[1])
    assert (found["kind"], found["scopes"], found["app_id"]) == ("write", ["ingest"], None)
    assert re.fullmatch(r"hwk_[A-Za-z0-9_-]{43}", found["write_key"])
    pair = json.loads(run("keys", "create", "--json")[1])
    assert (pair["kind"], len(pair["secret_access_key"])) == ("access", 40)


def test_a_key_for_an_unknown_app_or_scope_is_refused(run: Run) -> None:
    for options in (["--app", "gone"], ["--app", "gone", "--write"]):
        status, said, error = run("keys", "create", *options)
        assert (status, said, error.strip()) == (
            2,
            "",
            "headwater: There is no app 'gone'; 'headwater apps list' shows those that there are.",
        )
    assert run("keys", "create", "--scope", "everything")[0] == 2
    assert json.loads(run("keys", "list", "--json", "--revoked")[1]) == []


def test_an_existing_pair_is_added_from_standard_input_and_revoked(run: Run, definitions_settings: Settings) -> None:
    assert run("keys", "add", "AKIAIOSFODNN7EXAMPLE", typed="Geheim/1\r\nrest\n") == (0, "Key 'AKIAIOSFODNN7EXAMPLE' is added.\n", "")
    status, said, error = run("keys", "add", "AKIAIOSFODNN7EXAMPLE", typed="Geheim/2\n")
    assert (status, said, "Geheim" in error) == (2, "", False)
    assert "is taken" in error
    status, said, error = run("keys", "add", "AKIAIOSFODNN7EXAMPL2", typed="")
    assert (status, said) == (2, "")
    assert "expected it as the first line of standard input" in error
    opened = open_definitions(definitions_settings)
    with changing(opened) as connection:
        assert load_key_ring(connection, build_vault(definitions_settings)).access["AKIAIOSFODNN7EXAMPLE"][1] == "Geheim/1"
    opened.dispose()
    assert run("keys", "revoke", "AKIAIOSFODNN7EXAMPLE")[1].startswith("Key 'AKIAIOSFODNN7EXAMPLE' is revoked since 20")
    first = json.loads(run("keys", "revoke", "AKIAIOSFODNN7EXAMPLE", "--json")[1])["revoked_at"]
    assert json.loads(run("keys", "list", "--json")[1]) == []
    assert [key["revoked_at"] for key in json.loads(run("keys", "list", "--json", "--revoked")[1])] == [first]
    assert "There is no key 'gone'" in run("keys", "revoke", "gone")[2]


def test_a_terminal_is_asked_for_the_secret_and_does_not_show_it(definitions_settings: Settings) -> None:
    """The terminal is a real one; what is typed does not come back from it."""
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.cli", "keys", "add", "AKIAIOSFODNN7EXAMPLE"],
        env=os.environ | environment(definitions_settings),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Secret of AKIAIOSFODNN7EXAMPLE: " not in shown:
        shown += os.read(main_end, 1000)
    os.write(main_end, b"Geheim1\n")
    while b"is added" not in shown:
        shown += os.read(main_end, 1000)
    assert process.wait(60) == 0
    os.close(main_end)
    assert b"Geheim1" not in shown


def test_without_a_vault_key_no_pair_is_made_but_a_write_key_is(definitions_settings: Settings) -> None:
    bare = definitions_settings.model_copy(update={"definitions_key": type(definitions_settings.definitions_key)("")})
    done = headwater(bare, "keys", "create")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Setting 'HEADWATER_DEFINITIONS_KEY' is ''" in done.stderr
    assert headwater(bare, "keys", "create", "--write").returncode == 0
    assert [key["kind"] for key in json.loads(headwater(bare, "keys", "list", "--json").stdout)] == ["write"]
