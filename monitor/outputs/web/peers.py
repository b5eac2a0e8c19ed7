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
    """Return the address under which a request is counted.

    Parameters
    ----------
    peer : str
        IP address of the connection.
    forwarded_for : str
        ``X-Forwarded-For``: each proxy appends the address of its client.
    proxies : sequence of networks
        Trusted proxies; the last forwarded address that is none of them is the client's.

    Returns
    -------
    str
        An IPv4 address, or the first 64 bits of an IPv6 address; anything else is returned as it is.
    """
    client = peer
    for forwarded in reversed(forwarded_for.split(",")):
        if not _is_within(client, proxies) or (found := _address(forwarded.strip())) is None:
            break
        client = str(found)
    return address_group(client)


def address_group(address: str) -> str:
    """Return the part of an address that its owner cannot vary."""
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
