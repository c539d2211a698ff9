"""The library in the SQL of Spark, Trino and Athena: each view is printed or left out with its reason, and each word that sqlglot gets wrong is right."""

import json
import re

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from pipeline.ask.reader import open_empty_reader
from pipeline.config import load_settings
from pipeline.dialects.engine import Engine
from pipeline.dialects.engine_words import spell
from pipeline.dialects.plain import schema_of
from pipeline.dialects.script import translate_views
from pipeline.dialects.untranslatable import UntranslatableError
from tests.conftest import headwater
from tests.lake_rows import library
from tests.test_dialect_plain import columns, plain_tree

# What other engines cannot say, and why.
LEFT_OUT = {
    "checks.assert_duplicates_share_is_as_before": "stands for a whole row",
    "checks.assert_late_share_is_as_before": "stands for a whole row",
    "checks.assert_no_event_landed_twice": "no function hash",
    "checks.assert_funnel_begins_with_trend": "could not be resolved",
}
LEFT_OUT_OF_TRINO = {"checks.assert_volume_is_as_on_the_same_weekday": "median"}
# Words of DuckDB's own; none of them is left in what is printed.
DUCKDB_WORDS = re.compile(
    r"\bexclude\b|group by all|by name|\basof\b|(?:not )?\bmaterialized\b|\bunnest\(\[|epoch_ms|\bstrftime\b|::|\barg_m", re.IGNORECASE
)


@pytest.mark.parametrize("engine", list(Engine))
def test_each_view_is_printed_or_left_out_with_its_reason(engine: Engine) -> None:
    with open_empty_reader(load_settings()) as reader:
        translations = translate_views(reader, engine)
    schema = schema_of({**columns(), **{f"headwater.{name}": columns()[f"main.{name}"] for name in ("settings", "time_zones")}})
    assert [one.view.name for one in translations] == [view.name for view in library().views]
    left_out = {one.view.name: one.reason for one in translations if one.sql is None}
    expected = LEFT_OUT if engine is Engine.SPARK else LEFT_OUT | LEFT_OUT_OF_TRINO
    assert set(left_out) == set(expected)
    assert all(expected[name] in (reason or "") for name, reason in left_out.items())
    for one in translations:
        if one.sql is not None:
            parsed = sqlglot.parse_one(one.sql, read=engine.value)
            assert isinstance(parsed, exp.Query)
            assert not DUCKDB_WORDS.search(one.sql), one.view.name
            # Each column is one of what it reads.
            qualify(parsed.copy(), schema=schema, dialect=engine.value, validate_qualify_columns=True)
            # It reads what the view reads, and `settings` and zones where those stand here.
            within = {cte.alias for cte in parsed.find_all(exp.CTE)}
            read = {f"{table.db}.{table.name}" for table in parsed.find_all(exp.Table) if table.db or table.name not in within}
            assert read <= {*one.view.reads, *_read_by_macros(one.view.calls), "headwater.settings", "headwater.time_zones"}, one.view.name


def _read_by_macros(names: tuple[str, ...]) -> set[str]:
    macros = {macro.name: macro for macro in library().macros}
    return {read for name in names for read in (*macros[name].reads, *_read_by_macros(macros[name].calls))}


def said(sql: str, engine: Engine) -> str:
    return spell(plain_tree(sql), engine).sql(dialect=engine.value, unsupported_level=sqlglot.ErrorLevel.RAISE)


# By what sqlglot alone makes of them: an option that is lost, a moment for a number, an error for null, null for a number.
WORDS = [
    (
        "regexp_matches(event_type, '^_email\\.', 'i')",
        "REGEXP_LIKE(events.event_type, '(?i)^_email\\.')",
        "events.event_type RLIKE '(?i)^_email\\\\.'",
    ),
    (
        "epoch_ms(event_timestamp)",
        "DATE_DIFF('millisecond', FROM_UNIXTIME(0), events.event_timestamp)",
        "UNIX_MILLIS(events.event_timestamp)",
    ),
    ("attributes['screen']", "ELEMENT_AT(events.attributes, 'screen')", "ELEMENT_AT(events.attributes, 'screen')"),
    (
        "least(sent_at, received_at)",
        "LEAST(COALESCE(events.sent_at, events.received_at), COALESCE(events.received_at, events.sent_at))",
        "LEAST(events.sent_at, events.received_at)",
    ),
    (
        "isfinite(metrics['x'])",
        "IS_FINITE(ELEMENT_AT(events.metrics, 'x'))",
        "(NOT ISNAN(ELEMENT_AT(events.metrics, 'x')) AND ABS(ELEMENT_AT(events.metrics, 'x')) <> CAST('Infinity' AS DOUBLE))",
    ),
    (
        "('0x' || left(md5(app_id), 8))::ubigint",
        "FROM_BASE(SUBSTR(LOWER(TO_HEX(MD5(TO_UTF8(events.app_id)))), 1, 8), 16)",
        "CAST(CONV(LEFT(MD5(events.app_id), 8), 16, 10) AS BIGINT)",
    ),
    ("try(facets ->> '$.a')", "TRY(JSON_EXTRACT_SCALAR(events.facets, '$.a'))", "GET_JSON_OBJECT(events.facets, '$.a')"),
    (
        "coalesce(null, map {}::map(varchar, double))",
        "COALESCE(NULL, CAST(MAP() AS MAP(VARCHAR, DOUBLE)))",
        "COALESCE(NULL, CAST(MAP() AS MAP<STRING, DOUBLE>))",
    ),
    ("arrival_date + 1", "CAST(DATE_ADD('DAY', 1, events.arrival_date) AS DATE)", "CAST(DATE_ADD(events.arrival_date, 1) AS DATE)"),
    (
        "timezone('Asia/Tokyo', sent_at)",
        "(CAST(AT_TIMEZONE(events.sent_at, 'Asia/Tokyo') AS TIMESTAMP))",
        "(FROM_UTC_TIMESTAMP(events.sent_at, 'Asia/Tokyo'))",
    ),
    (
        "arrival_date::timestamp at time zone 'Asia/Tokyo'",
        "WITH_TIMEZONE(CAST(CAST(events.arrival_date AS TIMESTAMP) AS TIMESTAMP), 'Asia/Tokyo')",
        "TO_UTC_TIMESTAMP(CAST(events.arrival_date AS TIMESTAMP_NTZ), 'Asia/Tokyo')",
    ),
    (
        "metrics['x']::bigint",
        "CAST(ROUND(ELEMENT_AT(events.metrics, 'x')) AS BIGINT)",
        "CAST(ROUND(ELEMENT_AT(events.metrics, 'x')) AS BIGINT)",
    ),
    ("to_timestamp(1.5)", "FROM_UNIXTIME(1.5)", "TIMESTAMP_SECONDS(1.5)"),
    ("epoch(sent_at)", "TO_UNIXTIME(events.sent_at)", "(CAST(UNIX_MICROS(events.sent_at) AS DOUBLE) / 1000000.0)"),
    ("isodow(arrival_date)", "DAY_OF_WEEK(events.arrival_date)", "(WEEKDAY(events.arrival_date) + 1)"),
    (
        "regexp_extract(app_id, 'x(.*)$', 1)",
        "CASE WHEN NOT events.app_id IS NULL THEN COALESCE(REGEXP_EXTRACT(events.app_id, 'x(.*)$', 1), '') END",
        "REGEXP_EXTRACT(events.app_id, 'x(.*)$')",
    ),
    ("regexp_replace(app_id, 'x', 'y', 'g')", "REGEXP_REPLACE(events.app_id, 'x', 'y')", "REGEXP_REPLACE(events.app_id, 'x', 'y')"),
    ("regexp_replace(app_id, '^x', 'y')", "REGEXP_REPLACE(events.app_id, '^x', 'y')", "REGEXP_REPLACE(events.app_id, '^x', 'y')"),
    (
        "concat_ws(':', app_id, _offset)",
        "CONCAT_WS(':', events.app_id, CAST(events._offset AS VARCHAR))",
        "CONCAT_WS(':', events.app_id, CAST(events._offset AS STRING))",
    ),
]


@pytest.mark.parametrize(("duckdb", "trino", "spark"), WORDS)
def test_a_word_that_sqlglot_gets_wrong_is_right(duckdb: str, trino: str, spark: str) -> None:
    sql = f"select {duckdb} as x from core.events"
    found = {engine: said(sql, engine).removeprefix("SELECT ").partition(" AS x FROM ")[0] for engine in Engine}
    assert found == {Engine.TRINO: trino, Engine.ATHENA: trino, Engine.SPARK: spark}


def test_entries_of_a_map_are_two_columns_in_trino_and_an_object_in_spark() -> None:
    sql = "select unnest(map_keys(attributes)) as k, unnest(map_values(attributes)) as v from core.events"
    assert said(sql, Engine.TRINO).endswith("CROSS JOIN UNNEST(events.attributes) AS item_1(key, value)")
    assert said(sql, Engine.SPARK).endswith("LATERAL VIEW EXPLODE(MAP_ENTRIES(events.attributes)) item_1 AS value")


def test_a_list_in_order_is_sorted_in_spark_or_refused() -> None:
    assert said("select list(app_id order by app_id) as x from core.events", Engine.SPARK).startswith(
        "SELECT ARRAY_SORT(COLLECT_LIST(events.app_id)"
    )
    with pytest.raises(UntranslatableError, match="in the order of something else"):
        said("select list(app_id order by sent_at) as x from core.events", Engine.SPARK)


def test_spark_has_no_list_before_a_join_by_it() -> None:
    lists = "select item from (select app_id, unnest(string_split(event_id, 'a')) as item from core.events)"
    assert "LATERAL VIEW" in said(lists, Engine.SPARK)
    joined = "select e.app_id from core.events as e cross join unnest(string_split(e.event_id, 'a')) as i(item) left join core.users as u on u.user_id = i.item"
    assert "UNNEST" in said(joined, Engine.TRINO)
    with pytest.raises(UntranslatableError, match="a join by what a list beside it gives"):
        said(joined, Engine.SPARK)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select hash(event_id) as h from core.events", "no function hash"),
        ("select initcap(event_id) as h from core.events", "no function initcap"),
        ("select median(_offset) as h from core.events", "median, of which Trino has an approximation alone"),
        ("select epoch_ms(_offset) as h from core.events", "which is no moment"),
        ("select date_diff('hour', sent_at, received_at) as h from core.events", "date_diff of moments"),
        ("select regexp_replace(app_id, 'x', 'y') as h from core.events", "write 'g' to replace all"),
        ("select any_value(app_id order by sent_at) as h from core.events", "any_value in an order"),
        ("select any_value(attributes) as h from core.events", "any_value of a map"),
        ("select strftime(sent_at, '%u') as h from core.events", "no function time_to_str"),
        ("select regexp_matches(event_id, 'x', 's') as h from core.events", "option 's'"),
        ("select _offset::ubigint as h from core.events", "not written in hexadecimal digits"),
        ("select unnest(list({'id': event_id})) as said from core.events", "objects in a list that is computed"),
    ],
)
def test_what_nobody_knows_the_word_for_is_refused(sql: str, why: str) -> None:
    with pytest.raises(UntranslatableError, match=why):
        said(sql, Engine.TRINO)


def test_the_command_prints_a_script_that_parses() -> None:
    found = headwater(load_settings(), "views", "--dialect", "spark", app_zones='{"shop": "Europe/Rome"}')
    assert found.returncode == 0
    statements = [one for one in sqlglot.parse(found.stdout, read="spark") if one is not None]
    created = [one.this.sql() for one in statements if isinstance(one, exp.Create) and one.kind == "VIEW"]
    assert created[:2] == ["headwater.settings", "headwater.time_zones"]
    assert set(created[2:]) == {view.name for view in library().views} - set(LEFT_OUT)
    assert "'Europe/Rome'" in found.stdout
    assert all(f"-- Left out: {name}: " in found.stdout for name in LEFT_OUT)
    assert "create table if not exists lake.events using delta location 's3a://headwater/lake/events'" in found.stdout


def test_the_command_prints_one_view_for_an_engine() -> None:
    found = headwater(load_settings(), "views", "show", "core.sessions", "--dialect", "trino", "--json")
    shown = json.loads(found.stdout)
    assert shown["view"] == "core.sessions"
    assert "MAX_BY" in shown["sql"]
    left = headwater(load_settings(), "views", "show", "checks.assert_no_event_landed_twice", "--dialect", "trino")
    assert left.returncode == 2
    assert "View 'checks.assert_no_event_landed_twice' cannot be said for trino: trino has no function hash" in left.stderr
