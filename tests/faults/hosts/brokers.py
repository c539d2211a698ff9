"""Three Kafka brokers on this machine, each its own process with its own log, for tests that kill one or all of them."""

import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kafka.errors

from pipeline.config import Settings
from pipeline.kafka_admin import open_admin
from pipeline.stack.artifacts import fetch_artifacts, load_lock
from pipeline.stack.java import find_java
from pipeline.stack.keys import make_cluster_id
from pipeline.stack.ports import is_free
from pipeline.stack.programs import TEMPLATES
from pipeline.topics import MESSAGE_BYTES_MAX
from schemas.errors import UnavailableError
from tests.worker_process import wait_until

NUMBERS = (1, 2, 3)

# After those of the local stack, of which each replaces one.
_SETTINGS = """
node.id={number}
controller.quorum.voters={voters}
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
default.replication.factor=3
min.insync.replicas=2
unclean.leader.election.enable=false
replica.lag.time.max.ms=6000
"""


class Brokers:
    """Brokers and controllers in one process each; topics have three replicas, and acks=all means two of them. Logs and properties lie in `folder`.

    As Kafka is by default, no record is fsynced before it is acknowledged: what a broker has taken is in the system's page cache, which
    outlives the process, not the machine's current. That is what replicas are for.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._folder, self._ports = folder, _free_ports(2 * len(NUMBERS))
        self._java = [
            *(find_java(settings), "-Xmx256m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
            *("-cp", ":".join(map(str, fetch_artifacts(load_lock()["kafka"])))),
        ]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        cluster_id = make_cluster_id()
        folder.mkdir(parents=True)
        for number in NUMBERS:
            self._properties(number).write_text(self._build_properties(number))
            self._format(number, cluster_id)

    @property
    def servers(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports[:3])

    def _format(self, number: int, cluster_id: str) -> None:
        arguments = ("format", "--cluster-id", cluster_id, "--config", str(self._properties(number)))
        status = self._run("kafka.tools.StorageTool", *arguments, number=number).wait(120)
        assert status == 0, f"broker {number} has no storage: {self._log(number).read_text()}"

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self._processes[number] = self._run("kafka.Kafka", str(self._properties(number)), number=number)

    def kill(self, *numbers: int) -> None:
        """SIGKILL, all of them before any is waited for."""
        for number in numbers:
            self._processes[number].kill()
        for number in numbers:
            self._processes[number].wait()

    def stop(self, number: int) -> None:
        """SIGTERM: it hands its partitions over first."""
        self._processes[number].terminate()
        self._processes[number].wait(120)

    def end(self) -> None:
        """Kill those that run."""
        self.kill(*self._processes)

    def wait_until_whole(self, settings: Settings) -> None:
        """Until every broker accepts connections, and every partition of every topic has all its replicas in sync."""
        wait_until(lambda: self._is_whole(settings), "all replicas are in sync", secs_max=240)

    def _is_whole(self, settings: Settings) -> bool:
        # Kafka names a broker from the moment at which its controller takes it in, which is before it opens its port.
        try:
            for port in self._ports[:3]:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            with open_admin(settings) as admin:
                topics = admin.describe_topics()
                nodes = len(admin.describe_cluster()["brokers"])
        except (OSError, UnavailableError, kafka.errors.KafkaError):
            return False
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return nodes == len(NUMBERS) and all(len(one["isr_nodes"]) == len(one["replica_nodes"]) for one in partitions)

    def _log(self, number: int) -> Path:
        return self._folder / f"broker-{number}.log"

    def _properties(self, number: int) -> Path:
        return self._folder / f"broker-{number}.properties"

    def _build_properties(self, number: int) -> str:
        text = (TEMPLATES / "kafka.properties").read_text()
        values = {
            "kafka_port": self._ports[number - 1],
            "controller_port": self._ports[number + 2],
            "log_folder": self._folder / f"log-{number}",
            "message_bytes_max": MESSAGE_BYTES_MAX,
            "request_bytes_max": 2 * MESSAGE_BYTES_MAX,
        }
        for name, value in values.items():
            text = text.replace(f"${{{name}}}", str(value))
        voters = ",".join(f"{each}@127.0.0.1:{self._ports[each + 2]}" for each in NUMBERS)
        return text + _SETTINGS.format(number=number, voters=voters)

    def _run(self, program: str, *arguments: str, number: int) -> subprocess.Popen[bytes]:
        with self._log(number).open("ab") as log:
            return subprocess.Popen([*self._java, program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextmanager
def running_brokers(settings: Settings, folder: Path) -> Iterator[Brokers]:
    """Three brokers for the time of a `with` block; their logs, of hundreds of megabytes, are removed after it."""
    brokers = Brokers(settings, folder)
    try:
        brokers.start(*NUMBERS)
        yield brokers
    finally:
        brokers.end()
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Below those that the system gives to outgoing connections: a broker comes back to its own."""
    return [port for port in random.sample(range(21_000, 32_000), 200) if is_free(port)][:count]
