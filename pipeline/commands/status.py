"""`headwater status`: what runs, and how far the stream is."""

from typing import Any

import typer
from deltalake.exceptions import DeltaError

from pipeline.config import Settings, load_settings
from pipeline.group_status import read_group, share_topic
from pipeline.report import print_json, print_rows
from pipeline.stack.status import ProcessStatus, process_rows, read_processes
from pipeline.stream_status import read_stream_status
from schemas.errors import HeadwaterError

app = typer.Typer()


@app.command()
def status(
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Print JSON: {processes: [{name, state, pid, uptime_secs, memory_bytes}], stream: {topics: [{.., workers: [{member, instance, "
        "host, partitions, lag, lag_share, records, records_share}]}], group: {name, state}} or {unavailable}}.",
    ),
) -> None:
    """Show each process, Kafka lag, freshness, lake version and gaps, and the share of each worker.

    A worker's share is of the offsets that have not landed (lag) and of those that Kafka holds (records).

    Exit status 0 only when every process of the local stack runs and the stream answers; with Kafka and S3 elsewhere, when these answer.
    """
    settings = load_settings()
    processes = read_processes(settings)
    stream = _read_stream(settings, processes)
    if as_json:
        print_json({"processes": processes, "stream": stream})
    else:
        _print(settings, processes, stream)
    is_stack_missing = not processes and _is_stack_wanted(settings)
    if is_stack_missing or "unavailable" in stream or any(process["state"] != "running" for process in processes):
        raise typer.Exit(1)


def _is_stack_wanted(settings: Settings) -> bool:
    return settings.kafka_is_local or settings.s3_is_local


def _read_stream(settings: Settings, processes: list[ProcessStatus]) -> dict[str, Any]:
    """Where the stream stands, or {"unavailable": why}: half an answer is better than none while something is down."""
    running = {process["name"] for process in processes if process["state"] == "running"}
    for name, is_local in {"kafka": settings.kafka_is_local, "s3": settings.s3_is_local}.items():
        if is_local and name not in running:
            return {"unavailable": f"'{name}' of the local stack does not run; start it with 'headwater up'"}
    try:
        stream, group = read_stream_status(settings), read_group(settings)
    except (HeadwaterError, DeltaError, OSError) as error:
        return {"unavailable": str(error)}
    for topic in stream["topics"]:
        topic["workers"] = share_topic(group, topic)
    return stream | {"group": {"name": group.name, "state": group.state}}


def _print(settings: Settings, processes: list[ProcessStatus], stream: dict[str, Any]) -> None:
    if processes:
        print_rows(*process_rows(processes))
    elif _is_stack_wanted(settings):
        print(f"No local stack runs under '{settings.home}'; start one with 'headwater up'.")
    if "unavailable" in stream:
        print(f"The stream cannot be read: {stream['unavailable']}.")
        return
    columns = ["topic", "table", "lake version", "lag", "freshness, s", "gaps", "made anew"]
    print_rows(
        columns,
        [
            [topic[key] for key in ("topic", "table", "lake_version", "lag", "freshness_seconds")]
            + [len(topic["gaps"]), len(topic["ended_topics"])]
            for topic in stream["topics"]
        ],
    )
    for topic in stream["topics"]:
        partitions = [[row["partition"], row["next_offset"], row["end_offset"], row["lag"]] for row in topic["partitions"]]
        print_rows(["partition", "next offset", "end offset", "lag"], partitions, title=topic["topic"])
        group = stream["group"]
        print_rows(
            ["worker", "host", "partitions", "lag", "share of lag", "records", "share of records"],
            [_worker_row(worker) for worker in topic["workers"]],
            title=f"Who reads {topic['topic']}: group {group['name']}, {group['state']}",
        )


def _worker_row(worker: dict[str, Any]) -> list[Any]:
    name = "nobody" if worker["member"] is None else worker["instance"] or worker["member"]
    numbers = ", ".join(map(str, worker["partitions"])) or "none"
    shares = [f"{worker[share]:.0%}" for share in ("lag_share", "records_share")]
    return [name, worker["host"], numbers, worker["lag"], shares[0], worker["records"], shares[1]]
