"""Client addresses: whose requests and connections count together, directly or behind a reverse proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_GROUP_BITS = 64
"""Of an IPv6 address: a client that has one address can use all that share these bits."""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks from the configured addresses and networks."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_of(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> str:
    """Return the `address_group` under which a request is counted.

    Each proxy appends the address of its client to ``X-Forwarded-For``: the last one that is not a trusted
    proxy is the client's.  ``peer`` is the IP address of the connection.
    """
    client = peer
    for forwarded in reversed(forwarded_for.split(",")):
        if not _is_within(client, proxies) or (found := _address(forwarded.strip())) is None:
            break
        client = str(found)
    return address_group(client)


def address_group(address: str) -> str:
    """Return the part of an address that its owner cannot vary: all of IPv4, the first 64 bits of IPv6.

    Anything else is returned as it is.
    """
    found = _address(address)
    if found is None or found.version == 4:  # noqa: PLR2004
        return address if found is None else str(found)
    return str(ipaddress.ip_network((int(found), _GROUP_BITS), strict=False))


def is_shared(address: str, proxies: Sequence[Network], *, proxied: bool) -> bool:
    """Return whether an address may stand for many clients: it is that of a reverse proxy."""
    found = _address(address)
    return found is not None and (_is_within(address, proxies) or (proxied and found.is_loopback))


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    found = _address(address)
    return found is not None and any(found in network for network in networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address; a dual-stack socket shows IPv4 clients as ``::ffff:192.0.2.1``."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped
