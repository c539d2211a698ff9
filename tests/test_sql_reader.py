"""The reader over a real lake: pinned, read-only, locked down, within its limits, and at ease with an empty or an older lake."""

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import botocore.exceptions
import duckdb
import pyarrow as pa
import pytest

from pipeline.ask.reader import LimitError, QueryError, Reader, open_reader
from pipeline.ask.spill import SpillFolder
from pipeline.ask.sql_tree import RefusedError
from pipeline.config import Settings, load_settings
from pipeline.stores import build_store
from schemas.errors import HeadwaterError, UnavailableError
from schemas.tables import TableSchema, load_table
from tests.conftest import free_port_offset
from tests.lake_rows import at, dead_letter, event, purchase, write_lake

pytestmark = pytest.mark.attack("S3")


def ask(reader: Reader, sql: str) -> list[tuple[object, ...]]:
    with reader.ask(sql) as answer:
        return answer.fetchall()


def test_lake_in_which_no_worker_ran_gives_empty_views(settings: Settings) -> None:
    with open_reader(settings) as reader:
        empty = {view.name for view in reader.views if not ask(reader, f"select * from {view.name}")}
        # These read no table: they say what names and agents mean.
        assert {view.name for view in reader.views} - empty == {"core.machine_agents", "kpis.chart_names", "kpis.names"}


def test_tables_that_are_there_are_read_and_the_others_are_empty(settings: Settings) -> None:
    write_lake(settings, "events", [event(session_id="s1"), purchase(9.5, 2)])
    with open_reader(settings) as reader:
        assert ask(reader, "select count(*), sum(revenue) from core.purchases") == [(1, 19.0)]
        assert ask(reader, "select count(*) from staging.dead_letters") == [(0,)]


def test_answers_are_of_the_version_at_which_the_reader_opened(settings: Settings) -> None:
    write_lake(settings, "events", [event()])
    write_lake(settings, "dead_letters", [dead_letter()])
    with open_reader(settings) as reader:
        write_lake(settings, "events", [event()])
        write_lake(settings, "dead_letters", [dead_letter()])
        assert ask(reader, "select count(*) from core.events") == [(1,)]
        assert ask(reader, "select count(*) from staging.dead_letters") == [(1,)]
        with open_reader(settings) as later:
            assert ask(later, "select count(*) from core.events") == [(2,)]


def test_lake_of_an_older_schema_has_null_in_its_new_columns(settings: Settings) -> None:
    today = load_table("events")
    new = {"traffic", "user_attributes", "received_at"}
    kept = tuple(column for column in today.columns if column.name not in new)
    before = TableSchema(today.name, 0, today.doc, today.grain, today.partition_by, kept)
    write_lake(settings, "events", [event(user_id="ann")], before)
    sql = "select user_id, traffic, user_attributes, received_at, typeof(user_attributes), typeof(received_at) from core.events"
    expected = ("ann", None, None, None, "MAP(VARCHAR, VARCHAR[])", "TIMESTAMP WITH TIME ZONE")
    with open_reader(settings) as reader:
        assert ask(reader, sql) == [expected]
        assert [column for column, _ in reader.columns("staging.events")] == today.column_names
    write_lake(settings, "events", [event(user_id="bob", traffic="bot")])
    with open_reader(settings) as reader:
        assert ask(reader, "select user_id, traffic from core.events order by 1") == [("ann", None), ("bob", "bot")]


def test_promoted_attributes_are_columns_whether_the_lake_has_them_or_not(settings: Settings) -> None:
    schema = load_table("events").with_promoted(["plan"])
    write_lake(settings, "events", [event(attribute_plan="pro")], schema)
    promoted = settings.model_copy(update={"promoted_attributes": ("Store", "plan")})
    with open_reader(promoted) as reader:
        assert ask(reader, "select attribute_store, attribute_plan from core.events") == [(None, "pro")]
    with open_reader(settings) as reader:
        assert ask(reader, "select attribute_plan from staging.events") == [("pro",)]


def test_rows_beside_the_log_are_not_read(settings: Settings) -> None:
    """Only what was committed is in the lake, whatever else lies in its folder."""
    write_lake(settings, "events", [event()])
    store = build_store(settings)
    listed = store.client().list_objects_v2(Bucket=store.bucket, Prefix="lake/events/arrival_date")["Contents"]
    store.put("lake/events/arrival_date=2026-11-23/stray.parquet", store.get(listed[0]["Key"]))
    with open_reader(settings) as reader:
        assert ask(reader, "select count(*) from core.events") == [(1,)]


# What the locked connection itself does not stop, and the checker does: the reason why there is a checker.
OPEN_UNDERNEATH = [
    "select count(*) from delta_scan('s3://BUCKET/lake/events')",
    "select count(*) from duckdb_secrets()",
    "select count(*) from pinned_events",
    "select count(*) from read_blob('s3://BUCKET/lake/events/_delta_log/*.json')",
    "select count(*) from query('select 1')",
    "create table t as select 1",
    "drop view core.endpoint_days cascade",
    "drop secret lake",
]

# What neither lets through.
CLOSED_UNDERNEATH = [
    "select * from read_text('/etc/passwd')",
    "select * from '/etc/passwd'",
    "select * from glob('/etc/*')",
    "select * from read_text('s3://other-bucket/x')",
    "copy (select 1) to '/tmp/headwater-out.csv'",
    "copy (select 1) to 's3://BUCKET/lake/out.csv'",
    "copy (select 1) to 's3://BUCKET/out.csv'",
    "attach '/tmp/headwater-other.db' as other",
    "install spatial",
    "load spatial",
    "set enable_external_access = true",
    "set memory_limit = '99GB'",
    "set allowed_directories = ['/']",
    "reset lock_configuration",
    "pragma enable_external_access",
    "select * from secret_frame",
]


@pytest.fixture
def lake(settings: Settings) -> Settings:
    write_lake(settings, "events", [event(), purchase(3)])
    return settings


def test_checker_stops_what_the_lock_does_not(lake: Settings) -> None:
    statements = [sql.replace("BUCKET", lake.s3_bucket) for sql in OPEN_UNDERNEATH]
    with open_reader(lake) as reader:
        for sql in statements:
            with pytest.raises(RefusedError):
                ask(reader, sql)
        assert ask(reader, "select count(*) from core.endpoint_days") == [(1,)]
        # The control: without the checker all of them run, and nothing can be read any more.
        for sql in statements:
            reader.con.execute(sql).fetchall()
        with pytest.raises(HeadwaterError):
            ask(reader, "select count(*) from core.endpoint_days")


def test_lock_holds_even_without_the_checker(lake: Settings) -> None:
    secret_frame = pa.table({"secret": [1]})
    assert secret_frame.num_rows == 1
    ran = []
    with open_reader(lake) as reader:
        for sql in [sql.replace("BUCKET", lake.s3_bucket) for sql in CLOSED_UNDERNEATH]:
            with suppress(duckdb.Error):
                reader.con.execute(sql).fetchall()
                ran.append(sql)
            with pytest.raises(RefusedError):
                ask(reader, sql)
    assert ran == []


def test_readers_key_cannot_write(lake: Settings) -> None:
    with pytest.raises(botocore.exceptions.ClientError):
        build_store(lake, is_reader=True).put("lake/other", b"x")
    build_store(lake).put("lake/other", b"x")


def test_query_beyond_its_time_is_stopped_and_names_the_setting_and_the_reader_goes_on(lake: Settings) -> None:
    brief = lake.model_copy(update={"query_secs_max": 0.2})
    with open_reader(brief) as reader:
        with pytest.raises(LimitError, match="HEADWATER_QUERY_SECS_MAX"):
            ask(reader, "select sum(i * j) from range(1000000000) a(i), range(1000000000) b(j)")
        assert ask(reader, "select 1") == [(1,)]


def test_answer_that_is_fetched_too_slowly_is_stopped_too(lake: Settings) -> None:
    brief = lake.model_copy(update={"query_secs_max": 0.2})

    def fetch_all(reader: Reader) -> None:
        with reader.ask("select i from range(10000000000) t(i)") as answer:
            while answer.fetchmany(10_000):
                pass

    with open_reader(brief) as reader, pytest.raises(LimitError, match="HEADWATER_QUERY_SECS_MAX"):
        fetch_all(reader)


def test_query_beyond_its_memory_is_stopped_and_names_the_setting(lake: Settings) -> None:
    small = lake.model_copy(update={"query_memory_bytes_max": 50_000_000})
    with open_reader(small) as reader:
        with pytest.raises(LimitError, match="HEADWATER_QUERY_MEMORY_BYTES_MAX"):
            ask(reader, "select length(string_agg(i::varchar || repeat('x', 100), '')) from range(10000000) t(i)")
        assert ask(reader, "select 1") == [(1,)]


def test_what_does_not_fit_in_memory_is_spilled_within_bounds_and_gone_afterwards(
    lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    small = lake.model_copy(update={"query_memory_bytes_max": 60_000_000})
    sql = "select count(distinct i) from range(12000000) t(i)"
    with open_reader(small) as reader:
        assert ask(reader, sql) == [(12_000_000,)]
        assert len(list(tmp_path.glob("headwater-sql-*"))) == 1
    assert list(tmp_path.glob("headwater-sql-*")) == []
    # The control: without room on disk the same query cannot be answered.
    monkeypatch.setattr("pipeline.ask.reader.SPILL_FACTOR", 0)
    with open_reader(small) as reader, pytest.raises(LimitError, match="0 times as much on disk"):
        ask(reader, sql)


def test_spill_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = "import os, signal; from pipeline.ask.spill import SpillFolder; SpillFolder(); os.kill(os.getpid(), signal.SIGKILL)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=False, cwd=Path(__file__).parent.parent)
    (abandoned,) = tmp_path.iterdir()
    living = SpillFolder()
    assert not abandoned.exists()
    other = SpillFolder()
    assert living.path.exists()
    living.remove()
    other.remove()
    assert list(tmp_path.iterdir()) == []


def test_errors_keep_duckdbs_hint(lake: Settings) -> None:
    with open_reader(lake) as reader:
        with pytest.raises(QueryError, match=r'(?s)Candidate bindings: .*"event_type"'):
            ask(reader, "select evnt_type from core.events")
        with pytest.raises(QueryError, match="LINE 1: select 'x'::int"):
            ask(reader, "select 'x'::int")


def test_store_that_does_not_answer_is_named_with_the_way_out() -> None:
    away = load_settings(s3_endpoint="http://127.0.0.1:9", s3_access_key_id="a", s3_secret_access_key="b")
    with pytest.raises(UnavailableError, match=r"http://127\.0\.0\.1:9' \(HEADWATER_S3_ENDPOINT\) did not answer .*name another") as caught:
        open_reader(away)
    assert "\n" not in str(caught.value), "neither DuckDB's statement nor its caret"
    assert "headwater up" not in str(caught.value), "another's store is not ours to start"
    with pytest.raises(UnavailableError, match=r"did not answer .*start the local stack \('headwater up'\)"):
        open_reader(load_settings(port_offset=free_port_offset(), s3_access_key_id="a", s3_secret_access_key="b"))


def test_bucket_that_is_not_there_is_named(settings: Settings) -> None:
    with pytest.raises(UnavailableError, match=f"bucket '{settings.s3_bucket}x'"):
        open_reader(settings.model_copy(update={"s3_bucket": settings.s3_bucket + "x"}))


def test_broken_table_is_an_error_not_an_empty_view(settings: Settings) -> None:
    build_store(settings).put("lake/events/_delta_log/00000000000000000000.json", b'{"not": "a commit"}')
    with pytest.raises(UnavailableError, match="Table 'events' of the lake"):
        open_reader(settings)


def test_secret_is_for_this_bucket_alone(lake: Settings) -> None:
    with open_reader(lake) as reader:
        ((scope, secret),) = reader.rows("select scope, secret_string from duckdb_secrets()")
        assert scope == [f"s3://{lake.s3_bucket}/"]
        assert re.search(r"secret=redacted", secret)


def test_several_readers_of_one_process_do_not_meet(lake: Settings) -> None:
    found: list[object] = []

    def read() -> None:
        with open_reader(lake) as reader:
            found.extend(ask(reader, "select count(*) from core.events"))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(2,)] * 4


def test_times_are_utc_whatever_the_machine_says(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    write_lake(settings, "events", [event(event_timestamp=at(0))])
    with open_reader(settings) as reader:
        assert ask(reader, "select event_timestamp::varchar from core.events") == [("2026-11-23 12:00:00+00",)]
