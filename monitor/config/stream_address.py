"""Stream address: URL and login of a network stream, and a form of it without secrets.

Besides a login, a path or a query may be secret (some cameras have a token there), so only the scheme, the
host and the port are ever shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from monitor.config.validators import fault

SCHEMES = ("rtsp", "rtsps", "http", "https")
ENCRYPTED = ("rtsps", "https")
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_LOGIN_ELSEWHERE = (
    "contains a user or a password; write the user as username, and the password into the file named by "
    "password_file"
)


@dataclass(frozen=True, slots=True)
class Login:
    """User name and password for a server."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a network stream, and how to connect to it."""

    url: str = field(repr=False)
    """As configured: without a login, but possibly with ``{username}`` and ``{password}``."""
    login: Login | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    """Transport protocol of RTSP."""
    ca_file: Path | None = None
    """CA certificates to trust; None: the system's."""
    tls_verify: bool = True
    """Verify the certificate of the server."""
    pictures: Literal["auto", "always", "never"] = "auto"
    """Request the video of an RTSP camera too."""
    track: int | None = None
    """Audio track, counted from 1; None: the default track, else the first."""

    @property
    def scheme(self) -> str:
        """One of `SCHEMES`."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """Host name or IP address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return urlsplit(self.url).port or _PORTS[self.scheme]

    @property
    def shown(self) -> str:
        """Address for logs: ``rtsp://camera:8554``."""
        return f"{self.scheme}://{urlsplit(self.url).netloc}"

    @property
    def encoded_login(self) -> str:
        """``user:password``, percent-encoded for a URL; empty without a login."""
        if self.login is None:
            return ""
        return f"{quote(self.login.username, safe='')}:{quote(self.login.password, safe='')}"

    @property
    def with_login(self) -> str:
        """URL with the login, for the connection only: never show it."""
        if self.login is None:
            return self.url
        if _PLACEHOLDER.search(self.url):
            values = {"username": self.login.username, "password": self.login.password}
            return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), self.url)
        return self.url.replace("://", f"://{self.encoded_login}@", 1)


def check_url(url: str) -> str:
    """Refuse anything but the URL of a stream, and secrets in it; errors never repeat the value."""
    if not url.isprintable() or " " in url:
        raise fault("contains a space or a control character; write a space as %20")
    try:
        parts = urlsplit(url)
        bad_port = parts.port == 0
    except ValueError:  # for `rtsp://user:pass#word@host`, too
        raise fault(_LOGIN_ELSEWHERE if "@" in url else "has no valid host or port") from None
    if parts.scheme not in SCHEMES:
        raise fault(f"does not start with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if "@" in parts.netloc or ("@" in url and (parts.fragment or not parts.hostname)):
        raise fault(_LOGIN_ELSEWHERE)
    if not parts.hostname or bad_port:
        raise fault("has no valid host or port")
    if "#" in url:
        raise fault('contains a "#", which would end the URL; write it as %23')
    if any(name not in {"username", "password"} for name in _PLACEHOLDER.findall(url)):
        raise fault("has braces around something other than username or password")
    return url


def split_login(url: str) -> tuple[str, str | None, str | None]:
    """Return a URL without the login in it, the user name and the password; None for what it lacks.

    Cameras are documented with addresses such as ``rtsp://user:password@camera/stream``.
    """
    scheme, separator, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, _ = authority.rpartition("@")
    if not separator or not at:
        return url, None, None
    user, colon, password = login.partition(":")
    place = rest[len(login) + 1 :]
    return f"{scheme}://{place}", unquote(user) or None, unquote(password) if colon else None
