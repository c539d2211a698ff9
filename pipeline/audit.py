"""The audit: every offset from a partition's first to its next wanted one is one row of the lake, a hole, or a named gap.

What the workers committed as counts (records, holes, gaps) is held against what the tables' rows say, by SQL.
"""

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from agents.land import Gap
from pipeline.config import Settings
from pipeline.landed import Landed, read_landed
from pipeline.stores import build_store
from pipeline.topology import LANDING_STREAMS
from schemas.tables import load_table
from sinks.lake import LakeTable

# One row per partition: what of [first, next) the two tables hold.
_COUNTS = """
with positions as (
    select _topic_id, _partition, _offset, 'landed' as kind from landed_rows
    union all
    select _topic_id, _partition, _offset, case reason when 'duplicate' then 'duplicate' else 'dead' end from dead_rows
),
in_range as (
    select p.*
    from positions as p
    join wanted as w on p._topic_id = w.topic_id and p._partition = w.partition
    where p._offset < w.next_offset  -- dead letters of a flush whose events are not committed yet come later
)
select
    _topic_id,
    _partition,
    count(*) filter (kind = 'landed') as landed,
    count(*) filter (kind = 'dead') as dead,
    count(*) filter (kind = 'duplicate') as duplicate,
    count(distinct _offset) as distinct_offsets,
    count(*) as row_count
from in_range
group by all
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


@dataclass(frozen=True)
class PartitionAudit:
    """One partition: `lost` offsets have no row and no reason; `doubled` rows share an offset with another row; `unbalanced` is
    how far the rows are from the records that the commits counted."""

    table: str
    topic_id: str
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

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.unbalanced)


def audit_lake(settings: Settings) -> list[PartitionAudit]:
    """Audit every landing stream, as of one version of each table.

    Raises UnavailableError when the store does not answer.
    """
    store = build_store(settings, is_reader=True)
    dead_letters = LakeTable(store, load_table("dead_letters"))
    audits: list[PartitionAudit] = []
    for stream in LANDING_STREAMS:
        events = LakeTable(store, load_table(stream.table))
        if not events.exists() or not dead_letters.exists():
            continue
        # This table first: a dead letter is committed before the events beside it.
        events.refresh()
        landed = read_landed(stream.table, events.transactions())
        dead_letters.refresh()
        audits += _audit_table(stream.table, landed, events, dead_letters)
    return audits


def summarize(audits: list[PartitionAudit]) -> dict[str, Any]:
    """Totals, with each partition below: the shape of `headwater audit --json`."""
    names = ("landed", "dead", "duplicate", "holes", "gap", "lost", "doubled", "unbalanced")
    totals = {name: sum(getattr(audit, name) for audit in audits) for name in names}
    consumed = sum(audit.next_offset - audit.first_offset - audit.holes - audit.gap for audit in audits)
    is_clean = all(audit.is_clean for audit in audits)
    return {"consumed": consumed, **totals, "is_clean": is_clean, "partitions": [asdict(audit) for audit in audits]}


def _audit_table(table: str, landed: list[Landed], events: LakeTable, dead_letters: LakeTable) -> list[PartitionAudit]:
    with duckdb.connect(":memory:") as connection:
        connection.register("landed_rows", events.dataset())
        connection.register("dead_rows", dead_letters.dataset())
        connection.execute("create table wanted (topic_id varchar, partition integer, next_offset bigint)")
        for one in landed:
            connection.execute("insert into wanted values (?, ?, ?)", [one.position.topic_id, one.position.partition, one.wanted])
        counts = {(row[0], row[1]): row[2:] for row in connection.execute(_COUNTS).fetchall()}
        return [
            _audit_partition(table, one, counts.get((one.position.topic_id, one.position.partition), (0,) * 5), connection)
            for one in landed
        ]


def _audit_partition(table: str, one: Landed, counts: tuple[int, ...], connection: duckdb.DuckDBPyConnection) -> PartitionAudit:
    landed, dead, duplicate, distinct_offsets, row_count = counts
    lost = (one.wanted - one.first) - one.holes - one.gap_count - distinct_offsets
    missing: list[list[int]] = []
    if one.wanted - one.first != distinct_offsets:
        bounds = {"topic_id": one.position.topic_id, "partition": one.position.partition, "first": one.first, "next": one.wanted}
        missing = [list(row) for row in connection.execute(_MISSING, bounds).fetchall()]
    return PartitionAudit(
        table=table,
        topic_id=one.position.topic_id,
        partition=one.position.partition,
        first_offset=one.first,
        next_offset=one.wanted,
        landed=landed,
        dead=dead,
        duplicate=duplicate,
        holes=one.holes,
        gap=one.gap_count,
        lost=lost,
        doubled=row_count - distinct_offsets,
        unbalanced=row_count - one.records,
        gaps=[_bounds(gap) for gap in one.gaps],
        missing=missing,
    )


def _bounds(gap: Gap) -> list[int]:
    return [gap.start, gap.end]
