"""The second checker: SQL over the tables as any reader of Delta sees them, and over the ledger's file. Nothing of the pipeline is used."""

import importlib.resources
from pathlib import Path

import duckdb

from tests.faults.rig.findings import Findings, Place

# One line: what the ledger has, what the tables have, and how they differ.
_COMPARE = """
with expected as (
    select
        "partition" as part, "offset" as off, event_id, payload_hash, sha256, is_certain, mark,
        -- Of an id that is sent again, the first in Kafka's order is the event.
        row_number() over (partition by "partition", event_id, is_certain order by "offset") as sending
    from ledger
),
found as (
    select
        'events' as name, _topic_id, _partition as part, _offset as off, _payload_hash as payload_hash, event_id, attributes['mark'] as mark, null::varchar as reason,
        null::blob as value
    from events
    union all by name
    select 'dead_letters' as name, _topic_id, _partition as part, _offset as off, _payload_hash as payload_hash, reason, value from dead_letters
    where topic = $topic
),
rows as (
    select * from found where $topic_id in ('', _topic_id)
),
reached as (
    select part, max(off) as last from rows group by part
)
select
    (select count(*) from expected),
    (select count(*) from rows where name = 'events'),
    (select count(*) from rows where name = 'dead_letters'),
    (select count(*) from expected anti join rows using (part, off)),
    (select count(*) - count(distinct (_topic_id, part, off)) from rows),
    -- What a dead letter keeps of the bytes must be the bytes; an event must be that record's and not its neighbour's.
    (
        select count(*) from rows join expected using (part, off)
        where rows.payload_hash <> expected.payload_hash
            or (rows.value is not null and sha256(rows.value) <> expected.sha256)
            -- Of these there are no bytes, or they are not kept.
            or (rows.value is null and is_certain and rows.reason not in ('empty', 'too_large', 'duplicate'))
            or (
                rows.name = 'events' and expected.event_id <> ''
                and (rows.event_id is distinct from expected.event_id or rows.mark is distinct from expected.mark)
            )
    ),
    (
        select count(*) from rows join expected using (part, off)
        where is_certain and rows.reason is distinct from case
            when expected.event_id = '' then coalesce(rows.reason, 'no event')
            when sending > 1 then 'duplicate'
        end
    ),
    (select count(*) from (select distinct part, off from rows) anti join expected using (part, off)),
    (select count(*) from (from expected anti join rows using (part, off)) join reached using (part) where off < last)
"""


def check_sql(place: Place, ledger: Path) -> Findings:
    """Hold both tables against the ledger."""
    with duckdb.connect() as con:
        for name in ("httpfs", "delta"):
            file = (
                importlib.resources.files(f"duckdb_extension_{name}") / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
            )
            con.execute(f"load '{file}'")
        con.execute(
            "create secret (type s3, region 'us-east-1', url_style 'path', use_ssl false, "
            f"endpoint '{place.endpoint.removeprefix('http://')}', key_id '{place.access_key_id}', secret '{place.secret_access_key}')"
        )
        con.execute(
            "create table ledger as select * from read_json($file, format = 'newline_delimited', columns = "
            "{'event_id': 'varchar', 'partition': 'integer', 'offset': 'bigint', 'sha256': 'varchar', 'payload_hash': 'bigint', "
            "'is_certain': 'boolean', 'mark': 'varchar'})",
            {"file": str(ledger)},
        )
        for table in ("events", "dead_letters"):
            con.execute(f"create view {table} as select * from delta_scan('s3://{place.bucket}/lake/{table}')")
        found = con.execute(_COMPARE, {"topic": place.topic, "topic_id": place.topic_id}).fetchone()
    assert found is not None
    return Findings(*found)
