"""Ports of the local stack: who listens where a part of ours that does not run would."""

from collections import defaultdict
from collections.abc import Iterator

from pipeline.config import Settings
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, broken, ok
from pipeline.stack.ports import find_owner, is_free
from pipeline.stack.supervision import Supervisor


def check_ports(case: Case) -> Iterator[Finding]:
    """Every port that `headwater up` would want, less those of what runs."""
    running = {str(process["name"]) for process in Supervisor(case.settings).processes() if process["pid"]}
    wanted: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for program, what, port in _list_ports(case.settings):
        wanted[port].append((program, what))
    is_sound = True
    for port, users in wanted.items():
        what = " and ".join(what for _, what in users)
        way_out = "set HEADWATER_PORT_OFFSET to move the whole stack, for example HEADWATER_PORT_OFFSET=100"
        if len(users) > 1:
            is_sound = False
            yield broken(
                f"port {port}",
                f"wanted by {what}",
                "one of them",
                f"unset HEADWATER_METRICS_PORT and HEADWATER_MAINTAIN_METRICS_PORT, or {way_out}",
            )
        elif users[0][0] not in running and not is_free(port):
            is_sound = False
            owner = find_owner(port)
            yield broken(f"port {port}", f"taken by {owner}; {what} needs it", "free", f"stop {owner}, or {way_out}")
    if is_sound:
        ours = sum(users[0][0] in running for users in wanted.values())
        yield ok(
            "ports",
            f"{', '.join(map(str, wanted)) or 'none needed'}: {ours} ours, {len(wanted) - ours} free" if wanted else "none is needed",
        )


def _list_ports(settings: Settings) -> Iterator[tuple[str, str, int]]:
    """(program, what for, port) of everything that the local stack would run."""
    if settings.kafka_is_local:
        yield "kafka", "Kafka", settings.kafka_port
        yield "kafka", "Kafka's controller", settings.kafka_controller_port
    if settings.s3_is_local:
        yield "s3", "S3", settings.s3_port
    if settings.kafka_is_local or settings.s3_is_local:
        for index in range(settings.local_workers):
            yield f"worker-{index}", f"the metrics page of worker-{index}", settings.metrics_address_port + index
        if settings.local_api:
            yield "api", "the HTTP API", settings.api_address_port
        if settings.local_maintenance:
            yield "maintain", "the metrics page of maintenance", settings.maintain_address_port
