"""Runs the peers over the topic that a worker of ours has just read, and sets their CPU an event against the worker's."""

import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Settings
from pipeline.stores import build_store
from pipeline.topology import RAW_EVENTS, topic_name
from tests.bench.ground import open_scene, preload
from tests.bench.path import measure_workers
from tests.bench.peers.job import Job
from tests.bench.rows import Budget, Row, Sizes

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
FOLDER = ROOT / "build" / "bench-peers"
PYTHON = FOLDER / "bin" / "python"
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/tls/cert.pem", "/etc/ssl/ca-bundle.pem")
SECS_MAX = 300
HEADWATER = "Headwater, every step on"


@dataclass(frozen=True)
class Peer:
    """A module of tests/bench/peers; `is_slow`: it gets fewer events. `ratio_min` is what Headwater promises against it."""

    what: str
    module: str
    columns: str = "few"
    is_slow: bool = False
    ratio_min: float | None = None


PEERS = (
    Peer("stock Faust, agent per event, 7 columns", "faust_per_event", is_slow=True, ratio_min=10.0),
    Peer("kafka-python + json + pyarrow, 7 columns", "kafka_python_json", is_slow=True),
    Peer("Quix Streams' file sink, 7 columns", "quix_file_sink", is_slow=True),
    Peer("confluent-kafka + orjson + pyarrow, 7 columns", "confluent_orjson"),
    Peer("confluent-kafka + orjson + pyarrow, our columns", "confluent_orjson", columns="all", ratio_min=2.0),
)


class PeerError(Exception):
    """A peer that failed, or that lost rows; says what it printed."""


def measure_peers(ground: Settings, sizes: Sizes, before: Sequence[Row]) -> Iterator[Row]:
    """A row for a worker of ours and one for each peer, all over the same topic."""
    make_environment()
    with open_scene(ground, "peers") as settings:
        count = sizes.peer_events
        preload(settings, count)
        ours = next(measure_workers(ground, settings, count, HEADWATER))
        yield dataclasses.replace(ours, section="peers", ratio=1.0)
        for peer in PEERS:
            found = run_peer(settings, peer, sizes.slow_peer_events if peer.is_slow else count)
            cpu_us = found["cpu_secs"] / found["consumed"] * 1e6
            yield Row(
                "peers",
                peer.what,
                cpu_us,
                found["consumed"] / found["wall_secs"],
                ratio=cpu_us / ours.cpu_us if ours.cpu_us else None,
                budget=Budget("ratio", peer.ratio_min, is_least=True) if peer.ratio_min else None,
                note=f"{found['consumed']:,} events, as many rows written",
            )


def run_peer(settings: Settings, peer: Peer, count: int, rig: str = "") -> dict[str, Any]:
    """Run a peer over the first `count` events of raw-events; what it printed. `rig` is Python that runs before it (tests).

    Raises PeerError when it fails or its files lack rows.
    """
    store = build_store(settings)
    key = store.credentials()
    # Quix takes letters, digits and underscores only.
    name = f"{peer.module}_{uuid.uuid4().hex[:8]}"
    job = Job(
        servers=settings.kafka_servers,
        topic=topic_name(settings, RAW_EVENTS),
        group=name,
        count=count,
        s3_endpoint=store.endpoint,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        bucket=store.bucket,
        folder=name,
        columns=peer.columns,
    )
    module = f"tests.bench.peers.{peer.module}"
    code = f"{rig}\nimport runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    command = [str(PYTHON), "-c", code, json.dumps(dataclasses.asdict(job))]
    # By HEADWATER_HOME whoever clears up finds it. Some keep state where they are started.
    variables = os.environ | {"HEADWATER_HOME": str(settings.home), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=variables, cwd=settings.home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECS_MAX, check=False
    )
    if done.returncode != 0:
        raise PeerError(f"Peer '{peer.module}' ended with status {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if not found["consumed"] == found["rows"] == count:
        raise PeerError(f"Peer '{peer.module}' consumed {found['consumed']} and wrote {found['rows']} of {count} records.")
    return found


def make_environment() -> None:
    """The peers' environment, as requirements.txt locks it; nothing to do when it is there."""
    marker = FOLDER / ".ready"
    if marker.exists() and marker.read_text() == REQUIREMENTS.read_text():
        return
    uv = str(Path(sys.executable).parent / "uv")
    trust = ["--system-certs"] if any(Path(bundle).exists() for bundle in CERTIFICATES) else []
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER)])
    _run([uv, "pip", "sync", "--quiet", *trust, "--python", str(PYTHON), "--require-hashes", str(REQUIREMENTS)])
    marker.write_text(REQUIREMENTS.read_text())


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise PeerError(f"The peers' environment could not be made; '{' '.join(command)}' said: {done.stderr.strip()}")
