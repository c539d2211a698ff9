"""Which events come from the people who run the service: by endpoint id and by client network."""

import functools
import hashlib
import ipaddress
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from agents.enrichment.addresses import LENGTH_MAX, REMEMBERED_MAX, parse_address
from schemas.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def label_internal(endpoint_ids: pa.Array, addresses: pa.Array, endpoints: Sequence[str], networks: Sequence[str]) -> pa.Array:
    """For each row the rule that makes it internal, name@version, or null. A rule's version is a hash of what it lists.

    Endpoint ids count without regard to case, as Pinpoint's do. Each distinct address is looked up once.
    """
    label = pa.nulls(len(endpoint_ids), pa.string())
    if networks:
        parsed = tuple(parse_network(text) for text in networks)
        distinct = addresses.dictionary_encode()
        is_inside = [len(text) <= LENGTH_MAX and _is_inside(text, parsed) for text in distinct.dictionary.to_pylist()]
        is_internal = pa.array(is_inside, pa.bool_()).take(distinct.indices).fill_null(False)
        label = pc.if_else(is_internal, _versioned("internal-network", map(str, parsed)), label)
    if endpoints:
        listed = {name.lower() for name in endpoints}
        is_internal = pc.is_in(pc.utf8_lower(endpoint_ids), value_set=pa.array(sorted(listed), pa.string()))
        label = pc.if_else(is_internal, _versioned("internal-endpoint", listed), label)
    return label


def parse_network(text: str) -> Network:
    """Read a network; raises UsageError when it is none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"Internal network '{text}' is no network ({error}); expected for example 192.0.2.0/24.") from None


@functools.lru_cache(maxsize=REMEMBERED_MAX)
def _is_inside(text: str, networks: tuple[Network, ...]) -> bool:
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)


def _versioned(rule: str, listed: Iterable[str]) -> str:
    return f"{rule}@{hashlib.sha256(','.join(sorted(listed)).encode()).hexdigest()[:8]}"
