"""What a process of ours says on /metrics."""

import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def read_samples(port: int, secs_max: float = 5) -> list[Sample]:
    """Every sample that is served on a port.

    Raises OSError while nobody answers there within that time.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=secs_max) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return [sample for family in families for sample in family.samples]


def sum_metrics(port: int) -> Counter[str]:
    """The samples by name, summed over their labels. Errors as above."""
    found = Counter[str]()
    for sample in read_samples(port):
        found[sample.name] += sample.value  # type: ignore[assignment]
    return found
