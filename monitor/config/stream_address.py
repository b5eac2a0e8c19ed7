"""Where a stream is, and how to say so without what nobody should see.

Besides a login, a path or a query may be a secret (some cameras have a token there), so nothing but
the scheme, the host and the port is ever shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from monitor.config.validators import fault

SCHEMES = ("rtsp", "rtsps", "http", "https")
ENCRYPTED = ("rtsps", "https")
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_LOGIN_ELSEWHERE = (
    "holds a user or a password; write the user as username, and the password into the file named by "
    "password_file"
)


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a server."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stream is, and how it is connected to."""

    url: str = field(repr=False)
    """As it is configured: without a login, perhaps with ``{username}`` and ``{password}`` in it."""
    login: Login | None = None
    transport: Literal["tcp", "udp"] = "tcp"
    """Of RTSP."""
    ca_file: Path | None = None
    """Certificates to trust; None for the system's."""
    tls_verify: bool = True
    """Whether the certificate of the server is checked."""
    pictures: Literal["auto", "always", "never"] = "auto"
    """Whether an RTSP camera is asked for its pictures, too."""
    track: int | None = None
    """Of several audio tracks, from 1; None: the one marked as default, else the first."""

    @property
    def scheme(self) -> str:
        """What it speaks: one of `SCHEMES`."""
        return urlsplit(self.url).scheme

    @property
    def host(self) -> str:
        """Name or IP address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port."""
        return urlsplit(self.url).port or _PORTS[self.scheme]

    @property
    def shown(self) -> str:
        """What may be logged: ``rtsp://camera:8554``."""
        return f"{self.scheme}://{urlsplit(self.url).netloc}"

    @property
    def encoded_login(self) -> str:
        """``user:password`` as it stands in a URL, whatever is in it; empty without a login."""
        if self.login is None:
            return ""
        return f"{quote(self.login.username, safe='')}:{quote(self.login.password, safe='')}"

    @property
    def with_login(self) -> str:
        """What the server is asked for; never to be shown."""
        if self.login is None:
            return self.url
        if _PLACEHOLDER.search(self.url):
            values = {"username": self.login.username, "password": self.login.password}
            return _PLACEHOLDER.sub(lambda match: quote(values[match[1]], safe=""), self.url)
        return self.url.replace("://", f"://{self.encoded_login}@", 1)


def check_url(url: str) -> str:
    """Refuse what is no address of a stream and, above all, secrets in it: no value is repeated here."""
    if not url.isprintable() or " " in url:
        raise fault("holds a space or a control character; write it as %20")
    try:
        parts = urlsplit(url)
        bad_port = parts.port == 0
    except ValueError:  # for `rtsp://user:pass#word@host`, too
        raise fault(_LOGIN_ELSEWHERE if "@" in url else "has no host or no port that can be used") from None
    if parts.scheme not in SCHEMES:
        raise fault(f"starts with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    if "@" in parts.netloc or ("@" in url and (parts.fragment or not parts.hostname)):
        raise fault(_LOGIN_ELSEWHERE)
    if not parts.hostname or bad_port:
        raise fault("has no host or no port that can be used")
    if "#" in url:
        raise fault('holds a "#", which would end it; write it as %23')
    if any(name not in {"username", "password"} for name in _PLACEHOLDER.findall(url)):
        raise fault("has braces around something else than username and password")
    return url
