"""The library as a script for another engine: each view that can be said in it, and of the others why not."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pipeline.ask.lake_relations import TABLES
from pipeline.ask.layers import LAKE, VIEW_LAYERS, ViewError
from pipeline.ask.reader import Reader
from pipeline.ask.settings_view import settings_view_sql
from pipeline.ask.views import View
from pipeline.config import Settings
from pipeline.dialects.engine import Engine
from pipeline.dialects.engine_words import spell
from pipeline.dialects.plain import Columns, schema_of, to_plain
from pipeline.dialects.plain_forms import MAIN, SETTINGS, name_functions
from pipeline.dialects.rules_of_both import ZONES
from pipeline.dialects.untranslatable import UntranslatableError

# Where relations that are no file of queries/ stand in other engines, which have no schema `main` that everybody sees; no layer is called so.
_BESIDE = "headwater"
_REGISTER = {
    Engine.SPARK: "create table if not exists {lake}.{table} using delta location 's3a://{path}';",
    Engine.TRINO: "call system.register_table(schema_name => '{lake}', table_name => '{table}', table_location => 's3://{path}');",
    Engine.ATHENA: "create external table if not exists {lake}.{table} location 's3://{path}' tblproperties ('table_type' = 'DELTA');",
}
_HEAD = {
    Engine.SPARK: "For Spark 4 with Delta Lake. Days are right in sessions of UTC alone: set spark.sql.session.timeZone to UTC.",
    Engine.TRINO: "For Trino's delta_lake connector: use the catalog that has it, with delta.register-table-procedure.enabled=true.",
    Engine.ATHENA: "For Athena, engine version 3; each statement by itself.",
}


@dataclass(frozen=True)
class Translation:
    """A view in an engine's SQL, one select; or without it the reason why it cannot be said."""

    view: View
    sql: str | None
    reason: str | None


def translate_views(reader: Reader, engine: Engine, name: str = "") -> list[Translation]:
    """All views of the library, or one and what it stands on, each after those that it reads. A view that reads an untranslatable one is none either."""
    library = reader.library
    views = [one for one in library.needed_by([name]) if isinstance(one, View)] if name else library.views
    columns, broken = columns_read(reader, views)
    schema = schema_of(columns)
    macros = {macro.name: macro for macro in library.macros}
    found: dict[str, Translation] = {}
    for view in views:
        missing = [name for name in view.reads if name in found and found[name].sql is None]
        try:
            if view.name in broken:
                raise UntranslatableError(broken[view.name])
            if missing:
                raise UntranslatableError(f"it reads {', '.join(missing)}")
            tree = _place(spell(to_plain(view.sql, macros, schema), engine))
            found[view.name] = Translation(view, _write(tree, engine), None)
        except UntranslatableError as error:
            # Of what does not fit its columns, DuckDB says so in several lines.
            found[view.name] = Translation(view, None, " ".join(str(error).split()))
    return list(found.values())


def write_script(translations: Sequence[Translation], reader: Reader, settings: Settings, engine: Engine) -> str:
    """The statements that create the views given, what they stand on before them, and what is not in it at the end."""
    return "\n".join(_statements(translations, reader, settings, engine))


def _statements(translations: Sequence[Translation], reader: Reader, settings: Settings, engine: Engine) -> Iterator[str]:
    yield f"-- Headwater's views for {engine.capitalize()}, written by `headwater views --dialect {engine}`; settings are those of that moment.\n-- {_HEAD[engine]}\n"
    yield "-- The lake's tables, once:"
    yield f"-- create schema if not exists {LAKE};"
    for table in TABLES:
        yield f"-- {_REGISTER[engine].format(lake=LAKE, table=table, path=f'{settings.s3_bucket}/lake/{table}')}"
    yield ""
    yield from (f"create schema if not exists {layer};" for layer in (_BESIDE, *VIEW_LAYERS))
    yield _create(f"{_BESIDE}.{SETTINGS}", "One row: the settings that decide what a view says.", _settings(settings, engine))
    zones = [row[0] for row in reader.rows("select name from pg_timezone_names() order by name")]
    rows = textwrap.fill(", ".join(f"('{zone}')" for zone in zones), 140, break_on_hyphens=False)
    yield _create(f"{_BESIDE}.{ZONES}", "One row per time zone that DuckDB knows.", f"select name from (values\n{rows}\n) as zones (name)")
    for one in translations:
        if one.sql is not None:
            yield _create(one.view.name, one.view.grain, one.sql)
    for one in translations:
        if one.sql is None:
            yield f"-- Left out: {one.view.name}: {one.reason}"


def _create(name: str, grain: str, sql: str) -> str:
    return f"\n-- {grain}\ncreate or replace view {name} as\n{sql};"


def _settings(settings: Settings, engine: Engine) -> str:
    return _write(spell(name_functions(sqlglot.parse_one(settings_view_sql(settings), read="duckdb").expression), engine), engine)


def columns_read(reader: Reader, views: Sequence[View]) -> tuple[Columns, dict[str, str]]:
    """The columns of these views and of all that they read, and of each that cannot be created, one's own, why not."""
    columns, broken = {f"{MAIN}.{ZONES}": {"name": "VARCHAR"}}, {}
    for name in (*(f"{LAKE}.{table}" for table in TABLES), f"{MAIN}.{SETTINGS}", *(view.name for view in views)):
        try:
            columns[name] = dict(reader.columns(name))
        except ViewError as error:
            broken[name] = str(error)
    return columns, broken


def _place(tree: exp.Expr) -> exp.Expr:
    for table in tree.find_all(exp.Table):
        if table.db == MAIN:
            table.set("db", exp.to_identifier(_BESIDE))
    return tree


def _write(tree: exp.Expr, engine: Engine) -> str:
    """The engine's SQL; it is read once more, since what nobody can parse is no translation."""
    try:
        sql = tree.sql(dialect=engine.value, unsupported_level=sqlglot.ErrorLevel.RAISE, comments=False, pretty=True)
        sqlglot.parse_one(sql, read=engine.value)
    except SqlglotError as error:
        raise UntranslatableError(f"sqlglot: {textwrap.shorten(str(error), 200)}") from None
    return sql
