"""The audit: every offset from a partition's first to its next wanted one is one row of the lake, a hole, or a named gap.

What the workers committed as counts (records, holes, gaps) is held against what the tables' rows say, by SQL.
"""

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from agents.land import Gap, Position
from pipeline.bare_duckdb import open_duckdb
from pipeline.config import Settings
from pipeline.landed import Landed, read_landed
from pipeline.stores import build_store
from pipeline.stream_status import read_stream_status
from pipeline.topology import LANDING_TABLES
from schemas.errors import UnavailableError
from schemas.tables import load_table
from sinks.lake import LakeTable

# One row per partition that has rows: how many of each kind, and how many offsets of [first, next) they cover.
_COUNTS = """
with landed as (
    select _topic_id, _partition, _offset, 'landed' as kind from landed_rows
),
dead as (
    select r._topic_id, r._partition, r._offset, case r.reason when 'duplicate' then 'duplicate' else 'dead' end as kind
    from dead_rows as r
    left join wanted as w on r._topic_id = w.topic_id and r._partition = w.partition
    -- Dead letters are committed before the events of their flush. A partition that no commit speaks of is a stranger's.
    where w.topic_id is null or r._offset < w.next_offset
),
positions as (
    from landed union all from dead
)
select
    p._topic_id,
    p._partition,
    count(*) filter (p.kind = 'landed') as landed,
    count(*) filter (p.kind = 'dead') as dead,
    count(*) filter (p.kind = 'duplicate') as duplicate,
    count(*) as row_count,
    count(distinct p._offset) as distinct_offsets,
    count(distinct p._offset) filter (p._offset >= w.first_offset and p._offset < w.next_offset) as covered_offsets
from positions as p
left join wanted as w on p._topic_id = w.topic_id and p._partition = w.partition
group by all
"""

# One row per dead letter of this table's partitions, and of those that no commit speaks of.
_DEAD_ROWS = """
create view dead_rows as
select d.*
from all_dead_rows as d
anti join others as o on d._topic_id = o.topic_id and d._partition = o.partition
"""

# One row per run of offsets of one partition that no row has.
_MISSING = """
with offsets as (
    select _offset from landed_rows where _topic_id = $topic_id and _partition = $partition and _offset < $next
    union
    select _offset from dead_rows where _topic_id = $topic_id and _partition = $partition and _offset < $next
    union
    select unnest([$first - 1, $next])  -- the borders, so that what is missing there shows
),
steps as (
    select _offset + 1 as missing_start, lead(_offset) over (order by _offset) as missing_end from offsets
)
select missing_start, missing_end from steps where missing_end > missing_start order by missing_start limit 100
"""

# How many offsets of a gap have a row all the same, and how many of these are dead letters: a worker that died between its two
# commits leaves such rows when retention passes them before the next one reads.
_IN_GAP = """
with offsets as (
    select _offset from landed_rows where _topic_id = $topic_id and _partition = $partition and _offset >= $start and _offset < $end
    union
    select _offset from dead_rows where _topic_id = $topic_id and _partition = $partition and _offset >= $start and _offset < $end
)
select
    (select count(*) from offsets),
    (
        select count(*) from dead_rows
        where _topic_id = $topic_id and _partition = $partition and _offset >= $start and _offset < $end
    )
"""

# One row per offset of one partition that has several rows.
_REPEATED = """
with offsets as (
    select _offset from landed_rows where _topic_id = $topic_id and _partition = $partition
    union all
    select _offset from dead_rows where _topic_id = $topic_id and _partition = $partition and _offset < $next
)
select _offset from offsets group by _offset having count(*) > 1 order by _offset limit 100
"""


@dataclass(frozen=True)
class PartitionAudit:
    """One partition: `lost` offsets have no row and no reason; `doubled` rows share an offset with another row; `unbalanced` is
    how far the rows are from the records that the commits counted. `missing` are the runs [start, end) without rows (holes and
    gaps among them), `repeated` the offsets with several; at most a hundred of each. A partition that has rows and that no commit speaks of has
    no topic and next offset 0, and all its rows are unbalanced.

    `has_ended`: another topic took its topic's place; what of it had not landed by then is lost, and how much is not known."""

    table: str
    topic: str
    topic_id: str
    has_ended: bool
    partition: int
    first_offset: int
    next_offset: int
    landed: int
    dead: int
    duplicate: int
    holes: int
    gap: int
    lost: int
    doubled: int
    unbalanced: int
    gaps: list[list[int]]
    missing: list[list[int]]
    repeated: list[int]

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unbalanced)


def audit_lake(settings: Settings) -> list[PartitionAudit]:
    """Audit every landing stream, as of one version of each table.

    Raises UnavailableError when the store does not answer.
    """
    store = build_store(settings, is_reader=True)
    dead_letters = LakeTable(store, load_table("dead_letters"))
    tables = [LakeTable(store, load_table(table)) for table in LANDING_TABLES]
    tables = [table for table in tables if table.exists()]
    if not tables or not dead_letters.exists():
        return []
    # These tables first: a dead letter is committed before the rows beside it.
    landed: dict[str, list[Landed]] = {}
    for table in tables:
        table.refresh()
        landed[table.name] = read_landed(table.name, table.transactions())
    dead_letters.refresh()
    audits: list[PartitionAudit] = []
    # Dead letters of all tables lie in one. Those that no commit of any speaks of are counted once, with the first.
    taken = [one.position for each in landed.values() for one in each]
    for table in tables:
        own = {one.position for one in landed[table.name]}
        audits += _audit_table(landed[table.name], table, dead_letters, [position for position in taken if position not in own])
        taken += [Position(audit.topic_id, audit.partition) for audit in audits if not audit.topic]
    # Topic by topic, of those of one name each by itself; rows that no commit speaks of come last.
    return sorted(audits, key=lambda one: (not one.topic, one.topic, one.topic_id, one.partition))


def summarize(audits: list[PartitionAudit]) -> dict[str, Any]:
    """Totals, with each partition below: the shape of `headwater audit --json`."""
    names = ("landed", "dead", "duplicate", "holes", "gap", "lost", "doubled", "unbalanced")
    totals = {name: sum(getattr(audit, name) for audit in audits) for name in names}
    consumed = sum(audit.next_offset - audit.first_offset - audit.holes - audit.gap for audit in audits)
    is_clean = all(audit.is_clean for audit in audits)
    return {"consumed": consumed, **totals, "is_clean": is_clean, "partitions": [asdict(audit) for audit in audits]}


def count_waiting(settings: Settings) -> int | None:
    """Offsets that Kafka has beyond what landed: the audit speaks of those before. None when Kafka does not answer."""
    try:
        topics = read_stream_status(settings, is_fresh_wanted=False)["topics"]
    except UnavailableError:
        return None
    return sum(int(topic["lag"]) for topic in topics)


def _audit_table(landed: list[Landed], rows: LakeTable, dead_letters: LakeTable, others: list[Position]) -> list[PartitionAudit]:
    """The partitions of one table; dead letters of `others` are spoken of with another table."""
    with open_duckdb() as connection:
        connection.register("landed_rows", rows.dataset())
        connection.register("all_dead_rows", dead_letters.dataset())
        connection.execute("create table others (topic_id varchar, partition integer)")
        for position in others:
            connection.execute("insert into others values (?, ?)", [position.topic_id, position.partition])
        connection.execute(_DEAD_ROWS)
        connection.execute("create table wanted (topic_id varchar, partition integer, first_offset bigint, next_offset bigint)")
        for one in landed:
            place = [one.position.topic_id, one.position.partition, one.first, one.wanted]
            connection.execute("insert into wanted values (?, ?, ?, ?)", place)
        counts = {Position(row[0], row[1]): row[2:] for row in connection.execute(_COUNTS).fetchall()}
        known = {one.position for one in landed}
        strangers = [Landed(position, "", False, 0, 0, 0, 0, ()) for position in counts if position not in known]
        return [_audit_partition(rows.name, one, counts.get(one.position, (0,) * 6), connection) for one in [*landed, *strangers]]


def _audit_partition(table: str, one: Landed, counts: tuple[int, ...], connection: duckdb.DuckDBPyConnection) -> PartitionAudit:
    landed, dead, duplicate, row_count, distinct_offsets, covered_offsets = counts
    missing: list[list[int]] = []
    repeated: list[int] = []
    place = {"topic_id": one.position.topic_id, "partition": one.position.partition, "next": one.wanted}
    if one.wanted - one.first != covered_offsets:
        missing = [list(row) for row in connection.execute(_MISSING, place | {"first": one.first}).fetchall()]
    in_gaps, dead_in_gaps = 0, 0
    for gap in one.gaps:
        bounds = {"topic_id": one.position.topic_id, "partition": one.position.partition, "start": gap.start, "end": gap.end}
        offsets, dead_rows = connection.execute(_IN_GAP, bounds).fetchall()[0]
        in_gaps, dead_in_gaps = in_gaps + offsets, dead_in_gaps + dead_rows
    if row_count != distinct_offsets:
        repeated = [offset for (offset,) in connection.execute(_REPEATED, place).fetchall()]
    return PartitionAudit(
        table=table,
        topic=one.topic,
        topic_id=one.position.topic_id,
        has_ended=one.has_ended,
        partition=one.position.partition,
        first_offset=one.first,
        next_offset=one.wanted,
        landed=landed,
        dead=dead,
        duplicate=duplicate,
        holes=one.holes,
        gap=one.gap_count,
        lost=(one.wanted - one.first) - one.holes - one.gap_count - (covered_offsets - in_gaps),
        doubled=row_count - distinct_offsets,
        unbalanced=row_count - dead_in_gaps - one.records,
        gaps=[_bounds(gap) for gap in one.gaps],
        missing=missing,
        repeated=repeated,
    )


def _bounds(gap: Gap) -> list[int]:
    return [gap.start, gap.end]
