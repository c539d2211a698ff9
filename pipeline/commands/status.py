"""`headwater status`: what runs, and how far the stream is."""

import importlib.util
from typing import Any

import typer

from pipeline.config import Settings, load_settings
from pipeline.report import print_figures, print_json, print_rows
from pipeline.stack.status import process_rows, read_processes

app = typer.Typer()


@app.command()
def status(
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON: {processes: [{name, state, pid, uptime_secs, memory_bytes}], stream: {..}}."
    ),
) -> None:
    """Show each process, Kafka lag, freshness, lake version and gaps; exit status 0 only when every process runs."""
    settings = load_settings()
    processes = read_processes(settings)
    stream = read_stream(settings)
    if as_json:
        print_json({"processes": processes, "stream": stream})
    elif processes:
        print_rows(*process_rows(processes))
        print_figures({name: value for name, value in stream.items() if not isinstance(value, (dict, list))})
    else:
        print(f"No local stack runs under '{settings.home}'; start one with 'headwater up'.")
    if not processes or any(process["state"] != "running" for process in processes):
        raise typer.Exit(1)


def read_stream(settings: Settings) -> dict[str, Any]:
    """Lag, freshness, lake version and gaps."""
    if importlib.util.find_spec("pipeline.stream_status") is None:
        return {}
    read: dict[str, Any] = importlib.import_module("pipeline.stream_status").read_stream_status(settings)
    return read
