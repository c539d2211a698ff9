"""SQL from people: every attack is refused by the checker, ordinary analysts' queries pass and return rows.

Each attack has its control: the same statement, on a connection that nothing checks or locks, is not refused by us; those marked
RUNS really run there, so they are attacks and not just mistakes.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.ask.library import load_library
from pipeline.ask.sql_checker import check_sql
from pipeline.ask.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from pipeline.ask.sql_tree import RefusedError
from pipeline.config import load_settings
from tests.lake_rows import at, event, memory_lake, purchase

pytestmark = pytest.mark.attack("S3")

VIEWS = load_library().relations
RUNS, FAILS = True, False

# Statement, what the error must name, whether it runs on an open DuckDB. FILE is a file that is there.
ATTACKS = [
    # Files and other stores
    ("select * from delta_scan('s3://headwater/lake/events')", "delta_scan", FAILS),
    ("select * from delta_scan('/tmp')", "delta_scan", FAILS),
    ("select * from read_text('FILE')", "read_text", RUNS),
    ("select * from read_blob('FILE')", "read_blob", RUNS),
    ("select * from read_csv('FILE', header = false)", "read_csv", RUNS),
    ("select * from read_csv_auto('FILE', header = false)", "read_csv_auto", RUNS),
    ("select * from read_json('FILE')", "read_json", RUNS),
    ("select * from read_ndjson_objects('FILE')", "read_ndjson_objects", RUNS),
    ("select * from read_parquet('s3://headwater/lake/events/**')", "read_parquet", FAILS),
    ("select * from parquet_scan('FILE')", "parquet_scan", FAILS),
    ("select * from parquet_metadata('FILE')", "parquet_metadata", FAILS),
    ("select * from sniff_csv('FILE')", "sniff_csv", RUNS),
    ("select * from glob('/etc/*')", "glob", RUNS),
    ("select * from GLOB('/etc/*')", "glob", RUNS),
    ("select * from \"glob\"('/etc/*')", "glob", RUNS),
    ("select * from system.main.glob('/etc/*')", "system.main.glob", RUNS),
    ("from glob('/etc/*')", "glob", RUNS),
    ("from 'FILE'", "FILE", RUNS),
    ("select * from 'FILE'", "FILE", RUNS),
    ('select * from "FILE"', "FILE", RUNS),
    ("select * from 's3://headwater/lake/events/x.parquet'", "s3://headwater/lake/events/x.parquet", FAILS),
    ("select * from 'https://example.com/x.csv'", "https://example.com/x.csv", FAILS),
    ("select * from '/etc/passwd'", "/etc/passwd", FAILS),
    ("table 'FILE'", "FILE", RUNS),
    ("select * from read_duckdb('FILE')", "read_duckdb", FAILS),
    ("select (select count(*) from read_text('FILE'))", "read_text", RUNS),
    ("with x as (select * from read_text('FILE')) select 1 from x", "read_text", RUNS),
    ("select * from core.events where exists (from read_text('FILE'))", "read_text", RUNS),
    ("select 1 from core.events, lateral (select * from read_text('FILE')) t", "read_text", RUNS),
    ("select 1 union all select count(*) from read_text('FILE')", "read_text", RUNS),
    ("from (values (1)) t(x) join read_text('FILE') f on true", "read_text", RUNS),
    ("select * from (describe select * from read_text('FILE'))", "read_text", RUNS),
    ("summarize select * from read_text('FILE')", "read_text", RUNS),
    ("select 1 order by (select count(*) from glob('/etc/*'))", "glob", RUNS),
    ("select 1 limit (select count(*) from glob('/etc/*'))", "glob", RUNS),
    ("select 1 as x group by all having (select count(*) from glob('/etc/*')) > 0", "glob", RUNS),
    ("select sum(1) over (order by (select count(*) from glob('/etc/*')))", "glob", RUNS),
    ("select sum(x) filter ((select count(*) from glob('/etc/*')) > 0) from (values (1)) t(x)", "glob", RUNS),
    ("select case when true then (select count(*) from glob('/etc/*')) end", "glob", RUNS),
    ("select [1, 2][(select 1 from glob('/etc/passwd'))]", "glob", RUNS),
    ("pivot (select * from glob('/etc/*')) on file in ('/etc/passwd') using count(*)", "glob", RUNS),
    ("unpivot (select * from glob('/etc/*')) on file into name n value v", "glob", RUNS),
    # Catalog, settings, secrets
    ("select * from duckdb_secrets()", "duckdb_secrets", RUNS),
    ("select * from which_secret('s3://headwater/x', 's3')", "which_secret", RUNS),
    ("select * from duckdb_settings()", "duckdb_settings", RUNS),
    ("select * from duckdb_views()", "duckdb_views", RUNS),
    ("select * from duckdb_tables()", "duckdb_tables", RUNS),
    ("select * from duckdb_databases()", "duckdb_databases", RUNS),
    ("select * from duckdb_logs", "duckdb_logs", RUNS),
    ("select * from sqlite_master", "sqlite_master", RUNS),
    ("select * from information_schema.tables", "information_schema.tables", RUNS),
    ("select * from pg_catalog.pg_class", "pg_catalog.pg_class", RUNS),
    ("select * from pg_class", "pg_class", RUNS),
    ("select * from pragma_table_info('core.events')", "pragma_table_info", RUNS),
    ("show tables", "SHOW", RUNS),
    ("show all tables", "SHOW", RUNS),
    ("show databases", "SHOW", RUNS),
    ("describe", "SHOW", RUNS),
    ("select * from (show tables)", "SHOW", RUNS),
    ("select * from lake.events", "lake.events", RUNS),
    ("select * from memory.lake.events", "memory.lake.events", RUNS),
    ("select * from pinned_events", "pinned_events", FAILS),
    ("describe lake.events", "lake.events", RUNS),
    ("summarize lake.events", "lake.events", RUNS),
    ("select current_setting('memory_limit')", "current_setting", RUNS),
    ("select getvariable('x')", "getvariable", RUNS),
    ("select getenv('HOME')", "getenv", FAILS),
    ("select system.main.getenv('HOME')", "system.main.getenv", FAILS),
    ("select list_transform(['HOME'], lambda x: getenv(x))", "getenv", FAILS),
    ("select list_transform(['memory_limit'], lambda x: current_setting(x))", "current_setting", FAILS),
    ("select list_filter(['memory_limit'], lambda x: getvariable('a') is null)", "getvariable", RUNS),
    ("select [getvariable(x) for x in ['a']]", "getvariable", FAILS),
    ("select upper('x').getvariable()", "getvariable", RUNS),
    ("select columns(lambda c: getvariable('a') is null) from (values (1)) t(x)", "getvariable", RUNS),
    ("select * replace (getvariable('a') as x) from (values (1)) t(x)", "getvariable", RUNS),
    ("select {'a': getvariable('a')}", "getvariable", RUNS),
    ("select current_schemas(true)", "current_schemas", RUNS),
    ("select version()", "version", RUNS),
    ("select nextval('s')", "nextval", FAILS),
    ("select txid_current()", "txid_current", RUNS),
    # SQL from text
    ("select * from query('select 1')", "query", RUNS),
    ("from query('from duckdb_secrets()')", "query", RUNS),
    ("select * from query_table('lake.events')", "query_table", RUNS),
    ("select * from query_table(['sqlite_master'])", "query_table", RUNS),
    ("select * from json_execute_serialized_sql(json_serialize_sql('select 1'))", "json_execute_serialized_sql", RUNS),
    ("select json_serialize_sql('select 1')", "json_serialize_sql", RUNS),
    ("select json_deserialize_sql(json_serialize_sql('select 1'))", "json_deserialize_sql", RUNS),
    ("from histogram_values(sqlite_master, name)", "histogram_values", RUNS),
    ("from histogram(sqlite_master, name)", "histogram", RUNS),
    ("select * from seq_scan('x')", "seq_scan", FAILS),
    # CTEs that hide the catalog
    ("with sqlite_master as (select * from sqlite_master) select * from sqlite_master", "sqlite_master", RUNS),
    ("with recursive sqlite_master as (select * from sqlite_master) select * from sqlite_master", "sqlite_master", RUNS),
    (
        "with recursive sqlite_master(a) as (select name from sqlite_master union all select a from sqlite_master where false)"
        " select * from sqlite_master",
        "sqlite_master",
        RUNS,
    ),
    ("with a as (select * from sqlite_master), sqlite_master as (select 1) select * from a", "sqlite_master", RUNS),
    ("select * from (with sqlite_master as (select 1) select * from sqlite_master) t, sqlite_master", "sqlite_master", RUNS),
    ("with sqlite_master as (select 1) select * from main.sqlite_master", "sqlite_master", RUNS),
    ("with x as (with sqlite_master as (select 1) from sqlite_master) select * from sqlite_master", "sqlite_master", RUNS),
    ('with "İnfo" as (select 1) select * from "i̇nfo"', "i̇nfo", FAILS),
    ('with "KELVIN" as (select 1) select * from "\u212aelvin"', "\u212aelvin", FAILS),
    # Statements that change something
    ("create table t as select 1", "CREATE", RUNS),
    ("create or replace view core.events as select 1", "CREATE", RUNS),
    ("create macro m(a) as a", "CREATE", RUNS),
    ("create macro m() as table from sqlite_master", "CREATE", RUNS),
    ("create secret x (type s3, key_id 'a', secret 'b')", "CREATE", FAILS),
    ("drop view core.sessions", "DROP", RUNS),
    ("drop secret if exists lake", "DROP", RUNS),
    ("alter view core.sessions rename to s", "ALTER", RUNS),
    ("insert into lake.imports from lake.imports", "INSERT", RUNS),
    ("update lake.events set app_id = 'x'", "UPDATE", RUNS),
    ("delete from lake.events", "DELETE", RUNS),
    ("truncate lake.events", "TRUNCATE", RUNS),
    ("copy (select 1) to 'OUT'", "COPY", RUNS),
    ("copy core.events to 'OUT' (format parquet)", "COPY", RUNS),
    ("export database 'OUT'", "EXPORT", RUNS),
    ("import database 'OUT'", "IMPORT", FAILS),
    ("attach ':memory:' as other", "ATTACH", RUNS),
    ("attach 's3://other/lake/events' as e (type delta)", "ATTACH", FAILS),
    ("detach other", "DETACH", FAILS),
    ("use main", "USE", RUNS),
    ("install httpfs", "INSTALL", FAILS),
    ("load httpfs", "LOAD", FAILS),
    ("set memory_limit = '99GB'", "SET", RUNS),
    ("set variable x = 1", "SET", RUNS),
    ("reset memory_limit", "RESET", RUNS),
    ("pragma database_list", "PRAGMA", RUNS),
    ("pragma enable_profiling", "PRAGMA", RUNS),
    ("call pragma_version()", "CALL", RUNS),
    ("call duckdb_secrets()", "CALL", RUNS),
    ("checkpoint", "CHECKPOINT", RUNS),
    ("force checkpoint", "FORCE", RUNS),
    ("begin", "BEGIN", RUNS),
    ("commit", "COMMIT", FAILS),
    ("prepare p as select 1", "PREPARE", RUNS),
    ("execute p", "EXECUTE", FAILS),
    ("deallocate p", "DEALLOCATE", RUNS),
    ("explain select 1", "EXPLAIN", RUNS),
    ("explain analyze select 1", "EXPLAIN", RUNS),
    ("vacuum", "VACUUM", RUNS),
    ("comment on view core.events is 'x'", "COMMENT", RUNS),
    # More than one, none, and odd forms
    ("select 1; select 2", "2 statements", RUNS),
    ("select 1; drop view core.sessions", "2 statements", RUNS),
    ("select 1;;select 2;", "2 statements", RUNS),
    ("/* one */ select 1; -- two\ncreate table t (i int)", "2 statements", RUNS),
    ("", "no statement", RUNS),
    ("-- nothing", "no statement", RUNS),
    (";", "no statement", RUNS),
    ("select 1\0; drop view core.sessions", "NUL", RUNS),
    ("pivot core.events on event_type using count(*)", "PIVOT must list", RUNS),
    ("with x as (insert into lake.imports from lake.imports returning *) from x", "", FAILS),
    ("select * from core.events at (version => 0)", "AT another version", FAILS),
    ("select sleep_ms(1)", "sleep_ms", RUNS),
    ("select write_log('x')", "write_log", RUNS),
    ("select * from enable_logging()", "enable_logging", RUNS),
    ("select * from repeat_row(1, num_rows = 3)", "repeat_row", RUNS),
    ("select * from test_all_types()", "test_all_types", RUNS),
    ("select icu_sort_key('a', 'de')", "icu_sort_key", RUNS),
    # Names of Python variables, which DuckDB's client would look up
    ("select * from ATTACKS", "attacks", FAILS),
    ("select * from secret_frame", "secret_frame", RUNS),
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The views over a few rows. The file's name makes its catalog `memory`, as a reader's is."""
    rows = [
        event(session_id="s1", event_type="_session.start", attributes={"screen": "home"}, user_id="ann", platform="ios", country="DE"),
        event(session_id="s1", event_timestamp=at(2), attributes={"screen": "mug"}, metrics={"secs": 2.5}, user_id="ann", country="DE"),
        purchase(9.5, 2, session_id="s1", event_timestamp=at(3), user_id="ann", country="DE"),
        event(endpoint_id="phone-2", event_timestamp=at(days=1), country="US", extra=json.dumps({"a": {"b": [1, 2]}})),
        event(event_type="_email.open", arrival_timestamp=at(5), channel="EMAIL", campaign_id="c1"),
    ]
    file = tmp_path_factory.mktemp("checker") / "memory.db"
    with memory_lake(load_settings(), rows, file=file):
        return file


@pytest.fixture(scope="module")
def con(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """One connection for all: to check changes nothing, and ordinary queries only read."""
    with duckdb.connect(file, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        yield con


@pytest.fixture
def open_con(file: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A copy in which nothing is checked or locked. Extensions stay where they are: a test downloads nothing."""
    with duckdb.connect(shutil.copy(file, tmp_path)) as con:
        con.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
        con.execute(f"set custom_extension_repository = '{tmp_path}'")
        yield con


def fill_in(sql: str, folder: Path) -> str:
    file = folder / "data.json"
    file.write_text('{"secret": 1}\n')
    return sql.replace("FILE", str(file)).replace("OUT", str(folder / "out"))


@pytest.mark.parametrize(("sql", "named", "_runs"), ATTACKS)
def test_attack_is_refused_and_the_error_names_it_and_the_way_out(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, sql: str, named: str, _runs: bool
) -> None:
    with pytest.raises((RefusedError, duckdb.ParserException)) as caught:
        check_sql(con, fill_in(sql, tmp_path), VIEWS)
    if named:
        assert isinstance(caught.value, RefusedError)
        assert fill_in(named, tmp_path) in str(caught.value)


@pytest.mark.parametrize(("sql", "_named", "runs"), ATTACKS)
def test_without_the_checker_the_attack_is_not_refused_by_us_control(
    open_con: duckdb.DuckDBPyConnection, tmp_path: Path, sql: str, _named: str, runs: bool
) -> None:
    """The control of the test above."""
    # DuckDB's client reads Python variables as tables unless told not to.
    secret_frame = pa.table({"secret": [1]})
    assert secret_frame.num_rows == 1
    try:
        open_con.execute(fill_in(sql, tmp_path))
    except duckdb.Error:
        assert not runs
    else:
        assert runs


ORDINARY = """
select count(*) from core.events
select event_type, count(*) as events from core.events group by all order by events desc, 1 limit 10
select date_trunc('hour', occurred_at) as hour, count(distinct endpoint_id) from core.events group by 1
select time_bucket(interval '15 minutes', event_timestamp) as quarter, count(*) from core.events group by 1
select strftime(event_timestamp, '%Y-%m') as month, extract(isodow from event_timestamp) from core.events
select event_timestamp at time zone 'Europe/Berlin' as local_time, age(now(), event_timestamp) from core.events
select * from core.events where event_timestamp >= timestamptz '2026-11-01' and event_timestamp < now() + interval 100 years
select attributes['screen'] as screen, count(*) from core.events group by 1 having count(*) > 0
select map_keys(attributes), cardinality(metrics), element_at(metrics, 'secs') from core.events
select unnest(map_entries(attributes)) as entry from core.events
select key, count(*) from (select unnest(map_keys(attributes)) as key from core.events) group by key
select json_extract_string(extra, '$.a.b[0]'), extra::json ->> '$.a', extra -> 'a' from core.events
select j.key, j.value from core.events, json_each(extra) j
select list_filter([1, 2, 3], lambda x: x > 1), list_transform([1, 2], x -> x * 2), [y + 1 for y in [1, 2] if y > 1]
select list_reduce([1, 2, 3], lambda a, b: a + b), list_sum([1, 2]), list_aggregate([1, 2], 'max')
select *, row_number() over (partition by endpoint_id order by event_timestamp) as n from core.events qualify n = 1
select endpoint_id, event_timestamp - lag(event_timestamp) over w as since from core.events window w as (partition by endpoint_id order by event_timestamp)
select activity_date, sum(event_count) over (order by activity_date rows between 6 preceding and current row) from core.endpoint_days
select endpoint_id, first_value(event_type) over (partition by endpoint_id order by event_timestamp) from core.events
with days as (select activity_date, count(*) as active from core.endpoint_days group by 1) select *, active / sum(active) over () as share from days
with a as (select 1 as x), b as (select x + 1 as x from a) select * from a union all select * from b order by x
with recursive days(day) as (select date '2026-11-01' union all select day + 1 from days where day < '2026-11-05') select * from days
select d::date as day, count(e.event_id) from generate_series(date '2026-11-20', date '2026-11-25', interval 1 day) t(d) left join core.events e on (e.event_timestamp at time zone 'UTC')::date = d::date group by 1
select i, i * i from range(10) t(i)
select quantile_cont(duration_secs, [0.5, 0.9]), median(event_count), mode(platform), approx_quantile(duration_secs, 0.9) from core.sessions
select percentile_cont(0.5) within group (order by duration_secs) from core.sessions
select approx_count_distinct(endpoint_id), count(*) filter (where is_activity), count_if(is_late), bool_or(is_future) from core.events
select regexp_extract(event_type, '^_?([a-z]+)', 1) as family, event_type like '\\_%' escape '\\', event_type ilike '%VIEW', event_type similar to '.*view' from core.events
select upper(app_id) || ':' || coalesce(user_id, '?'), concat_ws('/', app_id, endpoint_id), left(event_id, 3), split_part(event_type, '.', 1) from core.events
select * from core.events using sample 50 percent (bernoulli, 1) union all from core.events
select * from core.events tablesample reservoir(2 rows)
select app_id, country, count(*), grouping(app_id) from core.events group by grouping sets ((app_id, country), (app_id), ())
select app_id, platform, count(*) from core.events group by rollup (app_id, platform)
select app_id, platform, count(*) from core.events group by cube (app_id, platform)
pivot core.events on event_type in ('screen.view', '_session.start') using count(*) group by endpoint_id
select * from core.endpoint_days pivot (sum(event_count) for country in ('DE', 'US') group by app_id)
unpivot core.endpoint_days on event_count, session_count into name figure value n
select e.endpoint_id, s.duration_secs from core.events e join core.sessions s using (app_id, endpoint_id, session_id)
select e.event_type, p.revenue from core.events e left join core.purchases p on p._offset = e._offset and p._partition = e._partition
select * from core.sessions s asof join core.purchases p on s.endpoint_id = p.endpoint_id and p.purchased_at >= s.started_at
select endpoint_id from core.events where endpoint_id in (select endpoint_id from core.purchases) and exists (select 1)
select endpoint_id from core.endpoint_days except select endpoint_id from core.purchases
select u.endpoint_id, t.n from (select distinct endpoint_id from core.events) u, lateral (select count(*) as n from core.events e where e.endpoint_id = u.endpoint_id) t
select distinct on (endpoint_id) endpoint_id, event_type from core.events order by endpoint_id, event_timestamp desc
select arg_max(event_type, event_timestamp), max_by(event_type, event_timestamp), min(event_timestamp), string_agg(distinct event_type, ', ' order by event_type) from core.events
select list(event_type order by event_timestamp) as path, array_agg(distinct country) from core.events group by endpoint_id
select histogram(event_type), entropy(event_type), corr(_offset, _partition), stddev(_offset) from core.events
select case when revenue > 10 then 'high' else 'low' end as class, round(sum(revenue), 2), if(true, 1, 2), nullif(1, 1), greatest(1, 2), try_cast('x' as int) from core.purchases group by 1
select s, s.b[1], map {'k': 1}['k'], struct_pack(x := 1).x, row(1, 2), [1, 2, 3][1:2] from (select {'a': 1, 'b': [1, 2]} as s)
select columns('event_.*') from core.events
select * exclude (attributes, metrics) replace (upper(app_id) as app_id) from core.events
select count(*) from core.events where hash(endpoint_id) % 100 < 100 and md5(endpoint_id) <> '' and event_id not in ('x') and _offset between -1e9 and 1e9
from core.purchases select product_id, sum(revenue) group by all order by all
values (1, 'a'), (2, 'b')
describe core.events
summarize core.sessions
describe select 1 as x
summarize select event_count from core.sessions
select * from (describe core.purchases)
select * from settings
select * from main.settings, memory.core.sessions
SELECT Count(*) FROM "core"."EVENTS" AS "E" WHERE E.App_Id = 'shop'
select /* a comment; with a semicolon */ 1 as "Ünï cödé; from 'x'" -- and another;
with "größe" as (select 1 as x) select * from "größe"
select reason, count(*) from staging.dead_letters group by all union all select 'none', 0
select count(*) from checks.assert_no_event_without_app
select date_diff('day', first_event_at, last_event_at), dayname(activity_date), last_day(activity_date), datepart('week', activity_date) from core.endpoint_days
select format('{:.2f}', revenue), printf('%d', 1), lpad('7', 3, '0'), levenshtein('a', 'b') from core.purchases
select sum(revenue) from core.purchases where purchased_at > $since::timestamptz and product_id = $product
""".strip().splitlines()


@pytest.mark.parametrize("sql", ORDINARY)
def test_ordinary_query_passes_and_returns_rows(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    check_sql(con, sql, VIEWS)
    parameters = {"since": "2026-01-01", "product": "mug"} if "$since" in sql else {}
    assert con.execute(sql, parameters).fetchall()


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("select * from core.evnts", '"core.events"'),
        ("select * from events", '"core.events"'),
        ("select * from sessions", '"core.sessions"'),
        ("select * from core.session", '"core.sessions"'),
        ("select * from setings", '"settings"'),
        ("select uper(app_id) from core.events", '"upper"'),
        ("select * from something_else_entirely", "'headwater views'"),
    ],
)
def test_misspelt_name_gets_a_suggestion(con: duckdb.DuckDBPyConnection, sql: str, hint: str) -> None:
    with pytest.raises(RefusedError, match=re.escape(hint)):
        check_sql(con, sql, VIEWS)


def test_what_is_not_sql_is_told_with_line_and_caret(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.ParserException, match=r"(?s)LINE 2: from where.*\^"):
        check_sql(con, "select 1\nfrom where", VIEWS)


@pytest.mark.parametrize("sql", ["select " + "(" * 800 + "1" + ")" * 800, "select " + "-" * 900 + "1", "select " + "[" * 900 + "]" * 900])
def test_deep_nesting_is_refused_not_a_crash(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        check_sql(con, sql, VIEWS)
    except (RefusedError, duckdb.ParserException):
        return
    con.execute(sql)


def test_long_lists_of_conditions_are_ordinary(con: duckdb.DuckDBPyConnection) -> None:
    sql = "select count(*) from core.events where " + " or ".join(f"_offset = {number}" for number in range(3000))
    check_sql(con, sql, VIEWS)
    assert con.execute(sql).fetchall()


def test_to_check_is_not_to_run(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """IMPORT reads a file as soon as DuckDB's client expands it, so the checker never asks it to."""
    (tmp_path / "schema.sql").write_text("create table made_by_import (i int);")
    (tmp_path / "load.sql").write_text("")
    sql = f"import database '{tmp_path}'"
    with pytest.raises(RefusedError, match="IMPORT"):
        check_sql(con, sql, VIEWS)
    assert "made_by_import" in con.extract_statements(sql)[0].query


def test_every_allowed_function_exists_and_none_is_both() -> None:
    with duckdb.connect() as con:
        found = con.execute("select lower(function_name), function_type like 'table%' from duckdb_functions()").fetchall()
    assert FUNCTIONS - {name for name, is_table in found if not is_table} <= {"row", "unnest"}
    assert TABLE_FUNCTIONS - {name for name, _ in found} == set()


def test_functions_that_reach_out_of_the_query_are_not_allowed() -> None:
    outside = (
        r"(^|_)(read|scan|glob|secret|setting|variable|query|sql|sleep|log|attach|pragma|duckdb|pg|sequence|nextval|currval|getenv)(_|$)"
    )
    allowed_by_meaning = {"log", "list_value", "pg_size_pretty"}
    assert {name for name in FUNCTIONS | TABLE_FUNCTIONS if re.search(outside, name)} <= allowed_by_meaning
