"""A client's address: read once for each distinct text, and what of it the table keeps."""

import functools
import ipaddress
import socket
from typing import Literal

import pyarrow as pa

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Kept = Literal["truncated", "full", "none"]

REMEMBERED_MAX = 32768
# The longest address is shorter; what is longer is none, and is not remembered.
LENGTH_MAX = 64
# 48 bits: what a provider gives to one customer, at the most.
_IPV6_MASK = (2**48 - 1) << 80


def parse_address(text: str) -> Address | None:
    """The address, an IPv4 one where IPv6 only carries it (::ffff:192.0.2.1) and without a zone (%eth0); None for any other text."""
    if len(text) > LENGTH_MAX:
        return None
    text = text.strip()
    try:
        # The system's own reading takes the same texts, in a fifth of the time.
        return ipaddress.IPv4Address(socket.inet_pton(socket.AF_INET, text))
    except (OSError, ValueError):
        pass
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


def keep_addresses(addresses: pa.Array, kept: Kept) -> pa.Array:
    """What column client_ip has of each address, text; `truncated` is the address of its network, null for what is no address."""
    if kept == "full":
        return addresses.cast(pa.string())
    if kept == "none" or addresses.null_count == len(addresses):
        return pa.nulls(len(addresses), pa.string())
    distinct = addresses.dictionary_encode()
    short = [truncate_address(text) if len(text) <= LENGTH_MAX else None for text in distinct.dictionary.to_pylist()]
    return pa.array(short, pa.string()).take(distinct.indices)


@functools.lru_cache(maxsize=8192)
def truncate_address(text: str) -> str | None:
    """The first address of its IPv4 /24 or IPv6 /48; None for what is no address."""
    address = parse_address(text)
    if address is None:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Address(int(address) & _IPV6_MASK))
    first, second, third, _ = address.packed
    return f"{first}.{second}.{third}.0"
