"""Peers: whose requests and connections are counted together, directly and behind a reverse proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOUSEHOLD_BITS = 64
"""Of an IPv6 address: whoever has one address has all that begin like it."""


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks as they are configured: IP addresses or networks."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_of(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> str:
    """Return the address that a request is counted for.

    Parameters
    ----------
    peer : str
        IP address of the connection.
    forwarded_for : str
        ``X-Forwarded-For``: each proxy has added, at the end, the address it was asked from.
    proxies : sequence of networks
        Those that are believed; of what they say, the last address that is none of them is the client's.

    Returns
    -------
    str
        An IPv4 address, or the first 64 bits of an IPv6 address.  What is no address is returned as it is.
    """
    client = peer
    for said in reversed(forwarded_for.split(",")):
        if not _is_within(client, proxies) or (found := _address(said.strip())) is None:
            break
        client = str(found)
    return household(client)


def household(address: str) -> str:
    """Return the part of an address that its owner cannot choose."""
    found = _address(address)
    if found is None or found.version == 4:  # noqa: PLR2004
        return address if found is None else str(found)
    return str(ipaddress.ip_network((int(found), _HOUSEHOLD_BITS), strict=False))


def is_shared(address: str, proxies: Sequence[Network], *, proxied: bool) -> bool:
    """Tell whether many people may come from this address: it is that of a reverse proxy."""
    found = _address(address)
    return found is not None and (_is_within(address, proxies) or (proxied and found.is_loopback))


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    found = _address(address)
    return found is not None and any(found in network for network in networks)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as one of IPv4 wherever it is one: a socket for both shows those as ``::ffff:192.0.2.1``."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found if mapped is None else mapped
