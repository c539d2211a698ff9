"""`headwater apps`: what events belong to, and whether guests may send to it."""

import dataclasses
import datetime as dt
import sys
from typing import Any

import typer

from pipeline.config import load_settings
from pipeline.definitions import apps
from pipeline.definitions.database import changing, opened_definitions, reading
from pipeline.definitions.keys import list_keys
from pipeline.report import as_shown_text, print_figures, print_json, print_rows
from schemas.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Create, list, show or delete apps; let guests in.")

_APP_ID = typer.Argument(metavar="ID", help="The app's id, as `list` prints it.")

_TAG = typer.Option([], "--tag", help="A tag, name=value; may be given again.")


@app.command()
def create(
    name: str = typer.Argument(help="What people call it, 1 to 64 characters."),
    app_id: str = typer.Option("", "--id", help="Its id, 1 to 64 of A-Z, a-z, 0-9, _ and -; none: one is made, like Pinpoint's."),
    tag: list[str] = _TAG,
    as_json: bool = typer.Option(False, "--json", help="Print JSON: the app."),
) -> None:
    """Create an app and print its id."""
    tags = _parse_tags(tag)
    with opened_definitions(load_settings()) as engine, changing(engine) as connection:
        created = apps.create_app(connection, name, app_id or None, tags)
    if as_json:
        print_json(dataclasses.asdict(created))
    else:
        print(created.app_id)


@app.command("list")
def list_apps(as_json: bool = typer.Option(False, "--json", help="Print JSON: a list of apps.")) -> None:
    """List the apps, the oldest first."""
    with opened_definitions(load_settings()) as engine, reading(engine) as connection:
        found = apps.list_apps(connection)
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
        return
    rows = [[each.app_id, as_shown_text(each.name), _moment(each.created_at), each.version, _tags(each)] for each in found]
    print_rows(["app_id", "name", "created_at", "version", "tags"], rows)


@app.command()
def show(app_id: str = _APP_ID, as_json: bool = typer.Option(False, "--json", help="Print JSON: the app and all that it has.")) -> None:
    """Show an app with its settings, event stream, guest pools and keys of its own."""
    with opened_definitions(load_settings()) as engine, reading(engine) as connection:
        found = apps.find_app(connection, app_id)
        if found is None:
            raise _no_app(app_id)
        settings, stream = apps.load_app_settings(connection, app_id), apps.find_event_stream(connection, app_id)
        pools = [pool_id for pool_id, owner in apps.list_guest_pools(connection).items() if owner == app_id]
        key_ids = [key.key_id for key in list_keys(connection) if key.app_id == app_id]
    if as_json:
        own = {"settings": settings, "event_stream": stream and dataclasses.asdict(stream), "guest_pools": pools, "keys": key_ids}
        print_json(dataclasses.asdict(found) | own)
        return
    figures: dict[str, Any] = {
        "app_id": found.app_id,
        "name": as_shown_text(found.name),
        "created_at": _moment(found.created_at),
        "version": found.version,
        "tags": _tags(found),
        **{f"setting {as_shown_text(member)}": as_shown_text(str(value)) for member, value in settings.items()},
        "event stream": as_shown_text(stream.destination_stream_arn) if stream else None,
        "guest pools": ", ".join(pools),
        "keys of its own": ", ".join(key_ids),
    }
    print_figures(figures)


@app.command()
def delete(
    app_id: str = _APP_ID,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: the app as it was."),
) -> None:
    """Delete an app, its settings, tags, stream, guest pools and the keys of it alone. Its events stay in the lake."""
    with opened_definitions(load_settings()) as engine:
        with reading(engine) as connection:
            found = apps.find_app(connection, app_id)
        if found is None:
            raise _no_app(app_id)
        if not yes:
            _ask(found)
        with changing(engine) as connection:
            deleted = apps.delete_app(connection, app_id)
    if deleted is None:
        raise _no_app(app_id)
    if as_json:
        print_json(dataclasses.asdict(deleted))
    else:
        print(f"App '{app_id}' is deleted; its events stay in the lake.")


@app.command()
def guests(
    app_id: str = _APP_ID,
    pool: str = typer.Option("", help="The pool's id, for example that of a Cognito pool which clients know; none: a new one is made."),
    forbid: str = typer.Option("", help="Take this pool back instead: its guests may send no more."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON: {app_id, pool_id, is_allowed}."),
) -> None:
    """Let guests send to an app, without a key: print the id of the pool that clients name."""
    if pool and forbid:
        raise UsageError("Options '--pool' and '--forbid' are both given; expected one of them.")
    with opened_definitions(load_settings()) as engine, changing(engine) as connection:
        if not forbid:
            pool_id = apps.allow_guests(connection, app_id, pool or None)
        elif apps.list_guest_pools(connection).get(forbid) == app_id:
            pool_id = forbid
            apps.forbid_guests(connection, forbid)
        else:
            raise UsageError(f"App '{app_id}' has no guest pool '{forbid}'; 'headwater apps show {app_id}' shows those that it has.")
    if as_json:
        print_json({"app_id": app_id, "pool_id": pool_id, "is_allowed": not forbid})
    else:
        print(f"Guests of pool '{pool_id}' may send to app '{app_id}' no more." if forbid else pool_id)


def _ask(found: apps.App) -> None:
    question = f"Delete app '{found.app_id}' ({as_shown_text(found.name)}), its guest pools and the keys of it alone? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise UsageError(f"App '{found.app_id}' is not deleted; expected the answer y, or option '--yes'.")


def _parse_tags(given: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not name or not separator or name in tags:
            raise UsageError(f"Option '--tag' is '{text}'; expected name=value, each name once, for example team=shop.")
        tags[name] = value
    return tags


def _tags(found: apps.App) -> str:
    return str(as_shown_text(", ".join(f"{name}={value}" for name, value in found.tags.items())))


def _moment(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _no_app(app_id: str) -> UsageError:
    return UsageError(f"There is no app '{app_id}'; 'headwater apps list' shows those that there are.")
