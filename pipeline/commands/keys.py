"""`headwater keys`: what lets clients in. A secret is printed once, when it is made."""

import dataclasses
import datetime as dt
import getpass
import sys
from typing import Any

import typer

from pipeline.config import load_settings
from pipeline.definitions import keys
from pipeline.definitions.database import changing, opened_definitions, reading
from pipeline.definitions.keys import Key, Scope
from pipeline.definitions.vault import build_vault
from pipeline.report import as_shown_text, print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Create, add, list or revoke the keys that let clients in.")

_APP = typer.Option("", "--app", help="The app that it holds for; none: every app.")
_SCOPE = typer.Option([Scope.INGEST], "--scope", help="What it lets do; may be given again.")
_RATE = typer.Option(None, "--events-per-sec", help="Events a second that it may send; none: no bound of its own.")
_NOTE = typer.Option("", "--note", help="What it is for, at most 200 characters.")


@app.command()
def create(
    app_id: str = _APP,
    scope: list[Scope] = _SCOPE,
    is_write: bool = typer.Option(
        False, "--write", help="A write key: one text that is sent along, instead of a pair that signs as AWS's do."
    ),
    events_per_sec: float | None = _RATE,
    note: str = _NOTE,
    as_json: bool = typer.Option(False, "--json", help="Print JSON: the key, and secret_access_key or write_key."),
) -> None:
    """Create a key and print it, as lines for a shell. Its secret is shown this once."""
    settings = load_settings()
    given: tuple[Any, ...] = (scope, app_id or None, events_per_sec, note)
    vault = None if is_write else build_vault(settings)
    with opened_definitions(settings) as engine, changing(engine) as connection:
        if vault is None:
            key, secret = keys.create_write_key(connection, *given)
        else:
            key, secret = keys.create_access_key(connection, vault, *given)
    lines = {"WRITE_KEY": secret} if is_write else {"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": secret}
    if as_json:
        print_json(_as_row(key) | {"write_key" if is_write else "secret_access_key": secret})
    else:
        print("\n".join(f"{name}={value}" for name, value in lines.items()))
    print(f"Key '{key.key_id}' is created. Its secret is shown this once: keep it now.", file=sys.stderr)


@app.command()
def add(
    access_key_id: str = typer.Argument(help="The id of a pair that clients have already, for example AKIA..."),
    app_id: str = _APP,
    scope: list[Scope] = _SCOPE,
    events_per_sec: float | None = _RATE,
    note: str = _NOTE,
    is_replaced: bool = typer.Option(
        False, "--replace", help="Give a key that is there this secret, and force again if it was revoked; all else of it stays."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: the key."),
) -> None:
    """Add an access key that clients have already. Its secret is asked for, or is the first line of standard input."""
    settings = load_settings()
    vault = build_vault(settings)
    secret = getpass.getpass(f"Secret of {access_key_id}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise UsageError(f"The secret of key '{access_key_id}' is empty; expected it as the first line of standard input.")
    with opened_definitions(settings) as engine, changing(engine) as connection:
        if is_replaced and (app_id or note or events_per_sec is not None):
            raise UsageError("--replace keeps all but the secret; expected it without --app, --events-per-sec and --note.")
        if is_replaced:
            key = keys.replace_secret(connection, vault, access_key_id, secret)
        else:
            key = keys.add_access_key(connection, vault, access_key_id, secret, scope, app_id or None, events_per_sec, note)
    _print_key(key, f"Key '{key.key_id}' {'has another secret' if is_replaced else 'is added'}.", as_json)


@app.command()
def reencrypt() -> None:
    """Encrypt every secret with the first key of HEADWATER_DEFINITIONS_KEY, after which the others may go."""
    settings = load_settings()
    vault = build_vault(settings)
    with opened_definitions(settings) as engine, changing(engine) as connection:
        count = keys.encrypt_anew(connection, vault)
    print(f"{count} secrets are encrypted with the first key of HEADWATER_DEFINITIONS_KEY.")


@app.command("list")
def list_keys(
    with_revoked: bool = typer.Option(False, "--revoked", help="Revoked keys too."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: a list of keys."),
) -> None:
    """List the keys, the oldest first, without their secrets."""
    with opened_definitions(load_settings()) as engine, reading(engine) as connection:
        found = [_as_row(key) for key in keys.list_keys(connection, with_revoked)]
    if as_json:
        print_json(found)
        return
    columns = ["key_id", "kind", "scopes", "app_id", "events_per_sec", "note", "created_at", *(["revoked_at"] if with_revoked else [])]
    print_rows(columns, [[_shown(row[name]) for name in columns] for row in found])


@app.command()
def revoke(
    key_id: str = typer.Argument(help="The key's id, as `list` prints it."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: the key."),
) -> None:
    """Revoke a key; it stays in `list --revoked`."""
    with opened_definitions(load_settings()) as engine, changing(engine) as connection:
        key = keys.revoke_key(connection, key_id, dt.datetime.now(dt.UTC))
    if key is None:
        raise UsageError(f"There is no key '{key_id}'; 'headwater keys list' shows those that there are.")
    _print_key(key, f"Key '{key_id}' is revoked since {_shown(key.revoked_at)}.", as_json)


def _print_key(key: Key, said: str, as_json: bool) -> None:
    if as_json:
        print_json(_as_row(key))
    else:
        print(said)


def _as_row(key: Key) -> dict[str, Any]:
    return dataclasses.asdict(key) | {"scopes": sorted(key.scopes)}


def _shown(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return ", ".join(value) if isinstance(value, list) else as_shown_text(value)
