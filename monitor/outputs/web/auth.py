"""Who may do what: names, origins, the token and the session that stands for it.

Three things are kept apart.  The *name* in ``Host`` must be one of ours, else a foreign name that was
made to point at this machine could read everything (DNS rebinding); an IP address cannot be such a name.
The *origin* must be ours for everything that changes something, else any page in the same browser could.
The *token* proves who it is; a browser shows it once and then has a cookie that no script can read.

This machine reads without the token, but only where no reverse proxy is spoken of: what a proxy brings comes
from this machine, whoever asked, and it need not say so.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from monitor.config import WebConfig
from monitor.config.authority import (
    DEFAULT_PORTS,
    Authority,
    parse_authority,
    parse_origin,
    spell_origin,
)
from monitor.outputs.web.peers import client_of, is_shared, networks_of
from monitor.outputs.web.rate_limit import TokenRateLimit

COOKIE = "clap_monitor_session"
SESSION_SECONDS = 90 * 86_400

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers of a reverse proxy: whoever shows one is not this machine itself."""

WRITES = (40, 1.5)
"""At once, and seconds for one more: dragging a threshold is a write."""

FAILURES = (10, 30.0)
"""Wrong tokens at once, and seconds until one more may be tried."""

UNREADABLE = (
    "Nothing can be read here, for web.public_url, web.prefix or web.trusted_proxies is set and no token is: "
    "name one by web.token_file, or set web.public_read: true, and restart"
)
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
        public = _public(web)
        self._origins = {*web.allowed_origins, *([] if public is None else [spell_origin(*public)])}
        self._proxies = networks_of(web.trusted_proxies)
        self._writes = TokenRateLimit(*WRITES)
        self._failures = TokenRateLimit(*FAILURES)

    @property
    def has_token(self) -> bool:
        """Whether anything can be changed at all."""
        return self._token is not None

    def check_host(self, host: str) -> Refusal | None:
        """Refuse a name that is not ours."""
        named = parse_authority(host)
        if named is None:
            return Refusal(400, "Host holds no name or address with, perhaps, a port")
        if named.host in self._names or named.is_address:
            return None
        said = f"This is not {named.host[:80]!r}; if it should be, add the name to web.allowed_hosts"
        return Refusal(421, said)

    def check_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse what another page wants to do."""
        origin = headers.get("origin")
        if origin is not None:
            parsed = parse_origin(origin)
            if parsed is not None and (
                _is_same(*parsed, headers.get("host", "")) or spell_origin(*parsed) in self._origins
            ):
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
        if self._token is None and self._web.proxied:
            return Refusal(403, UNREADABLE)
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
        """Refuse a wrong token, and say for how long to whoever tried too many; the right one always does."""
        if self._token is None:
            return Refusal(403, UNCHANGEABLE)
        # First of all: behind a proxy many may share one address, and another's guesses shut nobody out.
        if hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), self._token.encode()):
            return None
        now = self._now()
        if wait := self._failures.wait(address, now):
            return Refusal(429, "Too many wrong tokens", wait)
        self._failures.take(address, now)
        return Refusal(401, "This is not the token")

    def client(self, peer: str, forwarded_for: str) -> str:
        """Address whose requests are counted together, as `peers.client_of`."""
        return client_of(peer, forwarded_for, self._proxies)

    def is_shared(self, address: str) -> bool:
        """Tell whether many people may come from this address, for a reverse proxy has it."""
        return is_shared(address, self._proxies, proxied=self._web.proxied)

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
        forwarded = any(key in headers for key in FORWARDED)
        named = parse_authority(headers.get("host", ""))
        at_home = named is not None and named.is_loopback
        return self._web.local and at_home and not forwarded and not self._web.proxied


def _names_of(web: WebConfig) -> frozenset[str]:
    own, public = socket.gethostname().lower(), _public(web)
    names = {"localhost", own, f"{own}.local", *web.allowed_hosts}
    return frozenset(names if public is None else {*names, public[1].host})


def _public(web: WebConfig) -> tuple[str, Authority] | None:
    """Scheme and authority of the address that others know."""
    return None if web.public_url is None else parse_origin("/".join(web.public_url.split("/")[:3]))


def _is_same(scheme: str, origin: Authority, host: str) -> bool:
    """Whether an origin is the one that was asked; a missing port is that of the scheme."""
    asked, usual = parse_authority(host), DEFAULT_PORTS[scheme]
    return asked is not None and (asked.host, asked.port or usual) == (origin.host, origin.port or usual)


def _cookie_of(header: str) -> str:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""
