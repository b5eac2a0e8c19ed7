"""Who may do what: names, origins, the token and the session that stands for it.

Three things are kept apart.  The *name* in ``Host`` must be one of ours, else a foreign name that was
made to point at this machine could read everything (DNS rebinding); an IP address cannot be such a name.
The *origin* must be ours for everything that changes something, else any page in the same browser could.
The *token* proves who it is; a browser shows it once and then has a cookie that no script can read.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from monitor.config import WebConfig
from monitor.outputs.web.rates import Rates

COOKIE = "clap_monitor_session"
SESSION_SECONDS = 90 * 86_400

WRITES = (40, 1.5)
"""At once, and seconds for one more: dragging a threshold is a write."""

FAILURES = (10, 30.0)
"""Wrong tokens at once, and seconds until one more may be tried."""

UNCHANGEABLE = (
    "Nothing can be changed here, for no token is configured: write one into a file "
    "(openssl rand -hex 24 > token), name it by web.token_file and restart"
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered instead."""

    status: int
    reason: str
    retry_seconds: float | None = None


class Access:
    """The rules; asked by `guard` for each request.

    Parameters
    ----------
    web : WebConfig
    token : str or None
        The configured one.
    now : callable
        Monotonic seconds.
    """

    def __init__(
        self, web: WebConfig, token: str | None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.refused = 0
        """Requests that were refused, for whatever reason."""
        self._web = web
        self._token = token
        self._now = now
        self._names = _names_of(web)
        self._origins = {*web.allowed_origins, *([_origin_of(web.public_url)] if web.public_url else [])}
        self._writes = Rates(*WRITES)
        self._failures = Rates(*FAILURES)

    @property
    def has_token(self) -> bool:
        """Whether anything can be changed at all."""
        return self._token is not None

    def check_host(self, host: str) -> Refusal | None:
        """Refuse a name that is not ours."""
        name = _name_of(host)
        if name in self._names or _is_address(name):
            return None
        return Refusal(421, f"This is not {name[:80]!r}; if it should be, add the name to web.allowed_hosts")

    def check_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse what another page wants to do."""
        origin = headers.get("origin")
        if origin is not None:
            same = _authority(origin) == headers.get("host", "").lower()
            if same or origin.lower() in self._origins:
                return None
            return Refusal(
                403, "Another page may not do this; if it should, add its origin to web.allowed_origins"
            )
        if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            return None
        return Refusal(403, "Another page may not do this")

    def check_read(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse a reader from elsewhere who shows no token."""
        foreign = headers.get("sec-fetch-site") == "cross-site"
        if foreign and headers.get("sec-fetch-dest") != "document" and self.check_origin(headers):
            return Refusal(403, "Another page may not read this")
        if self._web.public_read or self._is_at_home(headers):
            return None
        return self.check_token(headers, address)

    def check_write(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse a change by another page, without a token, or too many of them."""
        if refusal := self.check_origin(headers) or self.check_token(headers, address):
            return refusal
        if wait := self._writes.wait(address, self._now()):
            return Refusal(429, "Too many changes at once", wait)
        self._writes.take(address, self._now())
        return None

    def check_token(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse who shows neither the token nor the cookie that stands for it."""
        if self._token is None:
            return Refusal(403, UNCHANGEABLE)
        if self.is_session(_cookie_of(headers.get("cookie", ""))):
            return None
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if not shown or scheme.lower() != "bearer":
            return Refusal(401, "This needs the token")
        return self.check_shown(shown.strip(), address)

    def check_shown(self, shown: str, address: str) -> Refusal | None:
        """Refuse a wrong token, and for a while everyone who tried too many."""
        now = self._now()
        if wait := self._failures.wait(address, now):
            return Refusal(429, "Too many wrong tokens", wait)
        if self._token is None:
            return Refusal(403, UNCHANGEABLE)
        if hmac.compare_digest(shown.encode(), self._token.encode()):
            return None
        self._failures.take(address, now)
        return Refusal(401, "This is not the token")

    def session(self, wall: float) -> str:
        """Return the value of a cookie that stands for the token from now on, ``wall`` in Unix seconds."""
        expires = f"{wall + SESSION_SECONDS:.0f}"
        return f"{expires}.{self._signature(expires)}"

    def is_session(self, cookie: str, wall: float | None = None) -> bool:
        """Tell whether a cookie was made by `session` with this token and still holds."""
        expires, _, signature = cookie.partition(".")
        if self._token is None or not expires.isascii() or not expires.isdecimal() or len(expires) > 12:  # noqa: PLR2004
            return False
        right = hmac.compare_digest(signature.encode(), self._signature(expires).encode())
        return right and (time.time() if wall is None else wall) < int(expires)

    def frame_ancestors(self) -> str:
        """Pages that may show this one in a frame."""
        return " ".join(["'self'", *sorted(self._origins)])

    def _signature(self, expires: str) -> str:
        key = (self._token or "").encode()
        return hmac.new(key, b"clap-monitor session until " + expires.encode(), hashlib.sha256).hexdigest()

    def _is_at_home(self, headers: Mapping[str, str]) -> bool:
        """Whether the reader is this machine itself, and no reverse proxy for somebody else."""
        forwarded = any(key in headers for key in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
        name = _name_of(headers.get("host", ""))
        at_home = name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
        return self._web.local and at_home and not forwarded


def _names_of(web: WebConfig) -> frozenset[str]:
    own = socket.gethostname().lower()
    public = urlsplit(web.public_url).hostname if web.public_url else None
    return frozenset({"localhost", own, f"{own}.local", *web.allowed_hosts, *([public] if public else [])})


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _authority(origin: str) -> str | None:
    """Name and port of an origin; None for one that has none (``null``)."""
    scheme, separator, authority = origin.lower().partition("://")
    return authority if separator and scheme in {"http", "https"} else None


def _name_of(host: str) -> str:
    """The name in a ``Host`` header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower().rstrip(".") if host.count(":") == 1 else host.lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookie_of(header: str) -> str:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
