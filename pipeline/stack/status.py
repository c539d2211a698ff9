"""What runs: each process of the local stack with its state, pid, age and memory."""

import time
from typing import Any, TypedDict

import psutil

from pipeline.config import Settings
from pipeline.stack.supervision import Supervisor


class ProcessStatus(TypedDict):
    """One process. `state`: running, starting, backoff, stopping, stopped, exited, fatal; pid, uptime and memory only while it lives."""

    name: str
    state: str
    pid: int | None
    uptime_secs: int | None
    memory_bytes: int | None


def read_processes(settings: Settings) -> list[ProcessStatus]:
    """Every process of the local stack, in the order in which they start; [] when the stack does not run."""
    return [_status(found) for found in Supervisor(settings).processes()]


def process_rows(processes: list[ProcessStatus]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows for people."""
    columns = ["process", "state", "pid", "uptime", "memory"]
    return columns, [
        [
            process["name"],
            process["state"],
            None if process["pid"] is None else str(process["pid"]),
            _duration(process["uptime_secs"]),
            None if process["memory_bytes"] is None else f"{process['memory_bytes'] / 1e6:,.0f} MB",
        ]
        for process in processes
    ]


def _status(found: dict[str, Any]) -> ProcessStatus:
    pid = int(found["pid"]) or None
    return {
        "name": str(found["name"]),
        "state": str(found["statename"]).lower(),
        "pid": pid,
        "uptime_secs": max(0, int(time.time()) - int(found["start"])) if pid else None,
        "memory_bytes": _memory(pid) if pid else None,
    }


def _memory(pid: int) -> int | None:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None


def _duration(secs: int | None) -> str | None:
    if secs is None:
        return None
    hours, rest = divmod(secs, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}"
