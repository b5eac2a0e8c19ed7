"""Authorities: host and port of a URL, parsed strictly.

They come from browsers and from the configuration, and are compared, logged and put into headers.  So only
valid names, IP addresses and ports are accepted; ``urlsplit`` would drop line breaks and keep semicolons.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,254})(?::([0-9]{1,5}))?", re.ASCII)
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)", re.ASCII)

DEFAULT_PORTS = {"http": 80, "https": 443}

_HIGHEST_PORT = 65_535
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Authority:
    """A host name or an IP address, in lower case, without brackets or a final dot, and a port."""

    host: str
    port: int | None = None

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address."""
        return _is_address(self.host)

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine: ``localhost``, or an address of the loopback interface."""
        return self.host == "localhost" or (self.is_address and ipaddress.ip_address(self.host).is_loopback)

    def __str__(self) -> str:
        """Form within a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_authority(text: str) -> Authority | None:
    """Parse the value of a ``Host`` header; None if it is not a host with an optional port."""
    found = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
    if found is None:
        return None
    host, port = found[1].strip("[]"), found[2]
    is_bracketed = found[1].startswith("[")
    is_good = _is_address(host) and ":" in host if is_bracketed else _is_name(host) or _is_address(host)
    if not is_good or (port is not None and not 0 < int(port) <= _HIGHEST_PORT):
        return None
    return Authority(host.removesuffix("."), None if port is None else int(port))


def parse_origin(text: str) -> tuple[str, Authority] | None:
    """Scheme and authority of an origin; None for anything else, such as ``null``."""
    found = _ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    authority = None if found is None else parse_authority(found[2])
    return None if found is None or authority is None else (found[1], authority)


def spell_origin(scheme: str, authority: Authority) -> str:
    """Origin as browsers write it: without the default port of its scheme."""
    port = None if authority.port == DEFAULT_PORTS[scheme] else authority.port
    return f"{scheme}://{Authority(authority.host, port)}"


def _is_name(text: str) -> bool:
    """Return whether a text is a host name; a malformed IPv4 address is not."""
    last = text.rstrip(".").rpartition(".")[2]
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None and not last.isdecimal()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
