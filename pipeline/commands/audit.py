"""`headwater audit`: prove that every record of Kafka is in the lake once."""

from typing import Any

import typer

from pipeline.audit import audit_lake, count_waiting, summarize
from pipeline.config import Settings, load_settings
from pipeline.deep_audit import DeepAudit, audit_deeply, summarize_deeply
from pipeline.report import print_figures, print_json, print_rows

app = typer.Typer()

_COLUMNS = (
    "topic",
    "topic_id",
    "partition",
    "first_offset",
    "next_offset",
    "landed",
    "dead",
    "duplicate",
    "holes",
    "gap",
    "lost",
    "doubled",
    "unbalanced",
)
_DEEP_COLUMNS = ("topic", "topic_id", "partition", "start", "end", "compared", "equal", "differing", "missing", "lake_only", "deleted")


@app.command()
def audit(
    deep: bool = typer.Option(
        False, "--deep", help="Read what Kafka still holds of it, too, and compare each value's hash with the lake's (_payload_hash)."
    ),
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Print JSON: waiting, consumed, landed, dead, duplicate, holes, gap, lost, doubled, unbalanced, is_clean, partitions; deep.",
    ),
) -> None:
    """Hold what the commits counted against what the tables hold: no offset lost, none twice or in both tables, counts balance.

    Exit status 1 when anything is lost, doubled or out of balance. Gaps (records that Kafka no longer had when they were wanted) are
    named; they are Kafka's loss, not the pipeline's. So are topics that were made anew. What waits in Kafka is counted beside it.
    With --deep also when a value in Kafka is not the one that landed. Offsets without a record (markers of transactions, what compaction
    took) are no fault.
    """
    settings = load_settings()
    audits = audit_lake(settings)
    summary = {"waiting": count_waiting(settings), **summarize(audits)}
    is_clean = summary["is_clean"]
    if deep and as_json:
        summary["deep"] = summarize_deeply(audit_deeply(settings))
        is_clean &= summary["deep"]["is_clean"]
    if as_json:
        print_json(summary)
    else:
        print_rows(_COLUMNS, [[getattr(one, column) for column in _COLUMNS] for one in audits], title="One row per partition")
        for one in audits:
            place = f"partition {one.partition} of {one.topic or one.topic_id}"
            for start, end in one.gaps:
                print(f"Gap: offsets [{start}, {end}) of {place} were gone from Kafka before they were read.")
            if one.has_ended:
                print(
                    f"Ended: another topic '{one.topic}' took the place of {one.topic_id}; what of its partition {one.partition} had not "
                    f"landed from offset {one.next_offset} on is lost."
                )
            if one.holes and not one.lost:
                print(f"Holes: {place} has no row at {one.missing}: no records (transaction markers, compaction), and the gaps above.")
            if one.lost:
                print(f"Lost: {place} has no row for {one.lost} offsets; without a row are {one.missing}.")
            if one.doubled:
                print(f"Doubled: {place} has {one.doubled} rows too many; offsets that have several are {one.repeated}.")
            if one.unbalanced:
                print(f"Unbalanced: {place} has {one.unbalanced:+} rows beside the records that its commits counted.")
        names = ("consumed", "landed", "dead", "duplicate", "lost", "doubled", "unbalanced")
        print_figures({name: summary[name] for name in names}, title="In all")
        print(_verdict(summary))
        if deep:
            is_clean &= _print_deep(settings)
    raise typer.Exit(0 if is_clean else 1)


def _print_deep(settings: Settings) -> bool:
    """Compare and print; whether all is as it landed."""
    audits = audit_deeply(settings)
    rows = [[getattr(one, column) for column in _DEEP_COLUMNS] for one in audits]
    print_rows(_DEEP_COLUMNS, rows, title="What Kafka still holds of it, value by value")
    for one in audits:
        for kind, offsets in one.offsets.items():
            if offsets:
                print(f"{_DEEP_KINDS[kind]}: partition {one.partition} of {one.topic}, {getattr(one, kind)} offsets, the first {offsets}.")
    print(_deep_verdict(audits))
    return all(one.is_clean for one in audits)


_DEEP_KINDS = {
    "differing": "Differing: the value in Kafka is not the one that landed",
    "missing": "Missing: Kafka holds a record and the lake has no row",
    "lake_only": "In the lake only: a row at an offset without a record",
}


def _deep_verdict(audits: list[DeepAudit]) -> str:
    summary = summarize_deeply(audits)
    if not summary["is_clean"]:
        return f"Not clean: of {summary['compared']:,} values that Kafka still holds {summary['equal']:,} are as they landed."
    return f"All {summary['compared']:,} values that Kafka still holds are as they landed."


def _verdict(summary: dict[str, Any]) -> str:
    waiting = summary["waiting"]
    beside = "Kafka does not say what waits" if waiting is None else f"{waiting:,} wait in Kafka"
    if not summary["is_clean"]:
        return f"Not clean: see lost, doubled, unbalanced. {beside}."
    if not summary["partitions"]:
        return f"Nothing has landed yet; {beside}."
    return f"Every record up to each next offset once; {beside}."
