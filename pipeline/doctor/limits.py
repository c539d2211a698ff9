"""What the machine lets us have: open files, and memory beside what the settings ask for."""

import resource
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.config import Settings
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok, warning

# supervisor asks for so many. Kafka keeps three files a segment of each partition open, and a socket for each client.
OPEN_FILES_MIN = 1024
OPEN_FILES_WANTED = 4096
# A worker without dedup keys and without records, measured.
WORKER_BYTES = 250_000_000
# What a Java process has beside its heap.
JAVA_FACTOR = 1.3
CGROUP_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def check_open_files(case: Case) -> Iterator[Finding]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    said, way_out = (
        f"{limit:,} at most",
        f"ulimit -n {16 * OPEN_FILES_WANTED} before the start (systemd: LimitNOFILE, containers: --ulimit nofile)",
    )
    if limit == resource.RLIM_INFINITY:
        yield ok("open files", "no limit")
    elif limit < OPEN_FILES_MIN:
        yield broken("open files", said, f"{OPEN_FILES_MIN:,} or more: supervisor refuses to start with less", way_out)
    elif limit < OPEN_FILES_WANTED:
        yield warning(
            "open files", said, f"{OPEN_FILES_WANTED:,} or more: Kafka keeps three open for each segment of each partition", way_out
        )
    else:
        yield ok("open files", said)


def check_memory(case: Case) -> Iterator[Finding]:
    """What the parts on this machine may come to, against what there is."""
    settings, total = case.settings, find_memory_bytes()
    wanted = sum_up_memory(settings)
    said = f"{total / 1e9:,.1f} GB, of which the settings ask for {wanted / 1e9:,.1f}"
    way_out = "lower HEADWATER_LOCAL_WORKERS, HEADWATER_DEDUP_MEMORY_BYTES_MAX or HEADWATER_INFLIGHT_BYTES_MAX"
    if wanted > total:
        yield broken("memory", said, "as much as the settings ask for", way_out)
    elif wanted > 0.8 * total:
        yield warning("memory", said, "a fifth to spare", way_out)
    else:
        yield ok("memory", said)
    if settings.query_memory_bytes_max > total:
        yield warning(
            "memory of queries",
            f"HEADWATER_QUERY_MEMORY_BYTES_MAX is {settings.query_memory_bytes_max:,}, and there are {total:,} bytes",
            "less than there is: a query then spills to disk and is not killed",
            f"set HEADWATER_QUERY_MEMORY_BYTES_MAX={int(total * 0.5)}",
        )


def sum_up_memory(settings: Settings) -> float:
    """Bytes of everything that these settings run on this machine; one worker where nothing is local."""
    worker = WORKER_BYTES + settings.dedup_memory_bytes_max + 2 * settings.inflight_bytes_max
    heap_mb = settings.kafka_is_local * settings.local_kafka_heap_mb + settings.s3_is_local * settings.local_s3_heap_mb
    workers = settings.local_workers if settings.kafka_is_local or settings.s3_is_local else 1
    return workers * worker + heap_mb * 1e6 * JAVA_FACTOR


def find_memory_bytes() -> int:
    """The machine's memory, or the container's share of it."""
    found = [int(psutil.virtual_memory().total)]
    for name in CGROUP_FILES:
        text = Path(name).read_text().strip() if Path(name).exists() else ""
        found += [int(text)] if text.isdigit() else []
    return min(found)
