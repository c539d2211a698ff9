"""The definitions database: opening, migrations, what a wrong address is told. The same on SQLite and on PostgreSQL."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from pipeline.config import Settings, load_settings
from pipeline.definitions import sqlite
from pipeline.definitions.apps import create_app, find_app, list_apps, tag_app
from pipeline.definitions.database import changing, open_definitions, opened_definitions, reading
from pipeline.definitions.migrate import FOLDER, VERSION_TABLE, list_revisions, migrate
from pipeline.definitions.tables import apps, metadata
from pipeline.stack.programs import environment
from schemas.errors import SettingError, UnavailableError, UsageError
from tests.conftest import headwater
from tests.postgres import Postgres


@contextmanager
def bare_engine(settings: Settings) -> Iterator[Engine]:
    """The database as it is, without migrating it."""
    url = settings.definitions_url.get_secret_value()
    if url:
        opened = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    else:
        with sqlite.creating(sqlite.file_path(settings)):
            opened = sqlite.build_engine(sqlite.file_path(settings))
    yield opened
    opened.dispose()


def open_at_once(settings: Settings, count: int, *options: str) -> list[subprocess.Popen[str]]:
    """So many processes that open the database at the same moment, ended."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.open_definitions", f"app-{index}", *options],
            env=os.environ | environment(settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return started


def test_eight_processes_open_a_new_database_at_once(definitions_settings: Settings) -> None:
    ended = [process.communicate(timeout=120) for process in open_at_once(definitions_settings, 8)]
    assert ended == [("done\n", "")] * 8
    opened = open_definitions(definitions_settings)
    with reading(opened) as connection:
        assert {app.app_id for app in list_apps(connection)} == {f"app-{index}" for index in range(8)}
    opened.dispose()


def test_without_the_locks_processes_that_open_at_once_fail(definitions_settings: Settings) -> None:
    started = open_at_once(definitions_settings, 3, "unguarded")
    ended = [process.communicate(timeout=120)[0] for process in started]
    assert "" in ended, "the control: somebody is not done"


@pytest.mark.parametrize("revision", list_revisions())
def test_a_database_of_each_earlier_release_is_migrated_and_keeps_its_rows(definitions_settings: Settings, revision: str) -> None:
    with bare_engine(definitions_settings) as bare:
        with bare.begin() as connection:
            migrate(connection, revision)
            create_app(connection, "Shop", "shop")
        with bare.connect() as connection:
            assert connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar_one() == revision
    opened = open_definitions(definitions_settings)
    with reading(opened) as connection:
        assert connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar_one() == list_revisions()[-1]
        found = find_app(connection, "shop")
        assert found is not None
        assert found.name == "Shop"
        assert set(sa.inspect(connection).get_table_names()) == {*metadata.tables, VERSION_TABLE}
    opened.dispose()


def test_the_migrations_make_the_tables_that_the_code_declares(engine: Engine) -> None:
    with reading(engine) as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        other = sa.MetaData()
        for table in metadata.tables.values():
            table.to_metadata(other)
        other.tables["keys"].append_column(sa.Column("colour", sa.Text))
        assert [change[0] for change in compare_metadata(context, other)] == ["add_column"], "the control"


def test_alembic_sees_the_revisions_that_the_files_are_named_after() -> None:
    assert [revision.revision for revision in ScriptDirectory(FOLDER).walk_revisions()] == list_revisions()[::-1]


def test_a_database_of_a_newer_release_is_refused_and_left_alone(definitions_settings: Settings, engine: Engine) -> None:
    with changing(engine) as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '9999'"))
    with pytest.raises(UsageError, match=r"schema '9999', made by a newer release of Headwater; this one knows schemas up to '\d{4}'"):
        open_definitions(definitions_settings)
    with reading(engine) as connection:
        assert connection.execute(sa.text(f"select version_num from {VERSION_TABLE}")).scalar_one() == "9999"


def test_a_migration_that_fails_leaves_nothing_behind(definitions_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(connection: Connection) -> None:
        migrate(connection, "0001")
        raise UsageError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.definitions.database.migrate", break_off)
        with pytest.raises(UsageError, match="the power is gone"):
            open_definitions(definitions_settings)
    with bare_engine(definitions_settings) as bare, bare.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    open_definitions(definitions_settings).dispose()


def test_two_changes_of_one_app_at_once_both_hold(engine: Engine) -> None:
    """The second one waits; on SQLite it began with the write lock, on PostgreSQL with the app's row."""
    with changing(engine) as connection:
        create_app(connection, "Shop", "shop")
    tag = f"""
import sys
from pipeline.config import load_settings
from pipeline.definitions.apps import find_app, tag_app
from pipeline.definitions.database import changing, open_definitions
opened = open_definitions(load_settings(home={str(Path(engine.url.database or "").parent)!r}, definitions_url={_url(engine)!r}))
for index in range(20):
    with changing(opened) as connection:
        find_app(connection, "shop")
        tag_app(connection, "shop", {{f"{{sys.argv[1]}}-{{index}}": "x"}})
"""
    started = [subprocess.Popen([sys.executable, "-c", tag, name]) for name in ("a", "b")]
    assert [process.wait(60) for process in started] == [0, 0]
    with reading(engine) as connection:
        found = find_app(connection, "shop")
    assert found is not None
    assert (len(found.tags), found.version) == (40, 41)


def _url(engine: Engine) -> str:
    return "" if engine.dialect.name == "sqlite" else engine.url.render_as_string(hide_password=False)


def test_a_reader_waits_for_no_writer(engine: Engine) -> None:
    with changing(engine) as writer:
        create_app(writer, "Shop", "shop")
        with reading(engine) as reader:
            assert list_apps(reader) == []
    with reading(engine) as reader:
        assert [app.app_id for app in list_apps(reader)] == ["shop"]


def test_a_change_that_fails_in_the_middle_leaves_nothing(engine: Engine) -> None:
    def change() -> None:
        with changing(engine) as connection:
            create_app(connection, "Shop", "shop")
            tag_app(connection, "other", {"a": "b"})

    with pytest.raises(UsageError, match="There is no app 'other'"):
        change()
    with reading(engine) as connection:
        assert list_apps(connection) == []


def test_the_file_is_for_its_owner_alone_with_the_journal_that_lets_others_read(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "new" / "home")
    before = os.umask(0)
    try:
        opened = open_definitions(settings)
        with changing(opened) as connection:
            create_app(connection, "Shop")
        assert {path.name: path.stat().st_mode & 0o777 for path in settings.home.iterdir()} == {
            name: 0o600 for name in ("definitions.db", "definitions.db-wal", "definitions.db-shm")
        }
    finally:
        os.umask(before)
    with reading(opened) as connection:
        pragmas = [connection.exec_driver_sql(f"pragma {name}").scalar_one() for name in ("journal_mode", "foreign_keys", "busy_timeout")]
    assert pragmas == ["wal", 1, 15000]
    opened.dispose()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "definitions.db").write_text("notes " * 1000)
    with pytest.raises(UsageError, match=r"definitions\.db cannot be used: file is not a database"):
        open_definitions(load_settings(home=tmp_path))


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file/definitions\.db cannot be written .*; HEADWATER_HOME sets where state lies"):
        open_definitions(load_settings(home=tmp_path / "file"))


def test_a_locked_file_is_said_to_be_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECS_MAX", 0)
    opened = open_definitions(load_settings(home=tmp_path))
    holder = sqlite3.connect(tmp_path / "definitions.db", isolation_level=None)
    holder.execute("begin immediate")

    def change() -> None:
        with changing(opened) as connection:
            create_app(connection, "Shop")

    with pytest.raises(
        UnavailableError, match=r"definitions\.db does not answer: database is locked\. Another process has been changing it"
    ):
        change()
    holder.close()
    change()
    opened.dispose()


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("mysql://user:Geheim1@db/x", r"mysql://\.\.\."),
        ("sqlite:///x.db?password=Geheim1", r"sqlite://\.\.\."),
        ("Geheim1", r"\(not shown\)"),
        ("postgresql://user:Geheim1@db:port/x", r"\(not shown\)"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path, url: str, value: str) -> None:
    with pytest.raises(
        SettingError, match=f"Setting 'HEADWATER_DEFINITIONS_URL' is '{value}'; expected empty .* for example postgresql://"
    ) as raised:
        open_definitions(load_settings(home=tmp_path, definitions_url=url))
    assert "Geheim1" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://user:Geheim1@127.0.0.1:1/x", "postgres://user@127.0.0.1:1/x?password=Geheim1"])
def test_a_server_that_does_not_answer_is_unavailable_and_no_password_is_said(tmp_path: Path, url: str) -> None:
    with pytest.raises(UnavailableError, match=r"The definitions database 'x' on 127\.0\.0\.1 does not answer: .*refused"):
        open_definitions(load_settings(home=tmp_path, definitions_url=url))
    done = headwater(load_settings(home=tmp_path, definitions_url=url), "apps", "list")
    assert (done.returncode, done.stdout, "Geheim1" in done.stderr, "Traceback" in done.stderr) == (1, "", False, False)


def test_a_server_that_refuses_the_password_is_unavailable_and_the_right_one_opens(postgres: Postgres, tmp_path: Path) -> None:
    user = postgres.create_user("Geheim1")
    with postgres.database() as url:
        right, wrong = (url.replace("postgres:@", f"{user}:{password}@") for password in ("Geheim1", "Falsch1"))
        with pytest.raises(UnavailableError, match="password authentication failed") as raised:
            open_definitions(load_settings(home=tmp_path, definitions_url=wrong))
        assert "Falsch1" not in str(raised.value)
        opened = open_definitions(load_settings(home=tmp_path, definitions_url=right))
        assert "Geheim1" not in repr(opened)
        opened.dispose()


def test_a_connection_that_the_server_closed_is_opened_anew(postgres: Postgres, tmp_path: Path) -> None:
    with postgres.database() as url:
        opened = open_definitions(load_settings(home=tmp_path, definitions_url=url))
        postgres.close_connections()
        with reading(opened) as connection:
            assert list_apps(connection) == []
        opened.dispose()


def test_opening_the_file_again_drops_no_lock_of_a_connection_that_is_open(tmp_path: Path) -> None:
    """SQLite's locks are the process's, and closing any descriptor of the file drops them: another process must find this one's."""
    settings = load_settings(home=tmp_path / "home")
    with opened_definitions(settings) as first, reading(first) as connection:
        connection.execute(sa.select(apps.c.app_id)).all()
        assert is_locked(sqlite.file_path(settings))
        with opened_definitions(settings):
            pass
        assert is_locked(sqlite.file_path(settings))
        # The control: this drops them.
        os.close(os.open(sqlite.file_path(settings), os.O_RDWR))
        assert not is_locked(sqlite.file_path(settings))


def is_locked(path: Path) -> bool:
    """Whether another process finds SQLite's shared lock on the file (its bytes from 2^30 + 2 on)."""
    code = (
        "import fcntl, sys\n"
        "with open(sys.argv[1], 'r+b') as file:\n"
        "    try:\n"
        "        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 2**30 + 2)\n"
        "    except OSError:\n"
        "        print('locked')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip() == "locked"
