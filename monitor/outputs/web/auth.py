"""Access control of the web server: host names, origins, the token and its session cookie.

Three checks are independent.  The *host* must be a known name, otherwise a foreign name that points at this
machine could read everything (DNS rebinding); an IP address is safe.  The *origin* must be the page's own for
every change, otherwise any site in the same browser could make it.  The *token* authenticates the user; a
browser sends it once and then has a cookie that no script can read.  Another token, with a cookie of its own,
gives the right to listen, and no other.

This machine reads without the token, unless a reverse proxy is configured: every request of a proxy comes
from this machine, whoever sent it, and need not show that it was forwarded.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.config import WebConfig
from monitor.config.authority import DEFAULT_PORTS, Authority, parse_authority, parse_origin, spell_origin
from monitor.outputs.web.ingress import ingress_path
from monitor.outputs.web.peers import client_of, is_shared, networks_of
from monitor.outputs.web.rate_limit import TokenRateLimit
from monitor.outputs.web.token import Token, bearer

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers of a reverse proxy: a request with one of them is not from this machine."""

WRITES = (40, 1.5)
"""Changes at once, and seconds until one more: each step of a threshold is a change."""

FAILURES = (10, 30.0)
"""Wrong tokens at once, and seconds until one more."""

UNREADABLE = (
    "Nothing can be read: web.public_url, web.prefix or web.trusted_proxies is set, but no token; "
    "set web.token_file or web.public_read: true, and restart"
)
UNCHANGEABLE = (
    "Nothing can be changed: no token is configured; write one into a file "
    "(openssl rand -hex 24 > token), set web.token_file to it and restart"
)
NOT_HERE = (
    "Set-up begins on this machine itself: open http://localhost with the port of the page, not through a "
    "proxy; or set web.token_file, and use the token"
)

UNHEARD = "Nobody can listen: web.listen is false; set it and web.listen_token_file, and restart"
_MAY_NOT_LISTEN = "This token may not listen: use that of web.listen_token_file or web.listen_token_env"
_MAY_ONLY_LISTEN = "This token may only listen: use that of web.token_file or web.token_env"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer to a request that is not allowed."""

    status: int
    reason: str
    retry_seconds: float | None = None


class Access:
    """Rules of access, applied by `RequestGuard` to each request.

    With ``first_run``, nothing has been set up yet: this machine may do so as long as there is no token.
    """

    def __init__(
        self, web: WebConfig, token: str | None, listen_token: str | None = None, *, first_run: bool = False
    ) -> None:
        self.refused = 0
        """Requests that were refused."""
        self.token = _owner(token)
        """Gives the right to read and to make changes."""
        heard = listen_token if web.listen else None
        self.listen_token = Token(heard, cookie="clap_monitor_listener", purpose="listening")
        """Gives the right to listen."""
        self._web = web
        self._first_run = first_run and token is None
        self._names = _names_of(web)
        public = _public(web)
        self._origins = {*web.allowed_origins, *([] if public is None else [spell_origin(*public)])}
        supervisor = [web.ingress_address] if web.ingress else []
        self._proxies = networks_of([*web.trusted_proxies, *supervisor])
        self._writes = TokenRateLimit(*WRITES)
        self._failures = TokenRateLimit(*FAILURES)

    def check_host(self, host: str) -> Refusal | None:
        """Refuse an unknown host name."""
        authority = parse_authority(host)
        if authority is None:
            return Refusal(400, "The Host header must be a name or an address, with or without a port")
        if authority.host in self._names or authority.is_address:
            return None
        return Refusal(421, f"Unknown host {authority.host[:80]!r}; add it to web.allowed_hosts to allow it")

    def check_origin(self, headers: Mapping[str, str]) -> Refusal | None:
        """Refuse a request that another site made."""
        origin = headers.get("origin")
        if origin is not None:
            parsed, host = parse_origin(origin), headers.get("host", "")
            if parsed and (_is_same(*parsed, host) or spell_origin(*parsed) in self._origins):
                return None
            fix = "add its origin to web.allowed_origins to allow it"
            return Refusal(403, f"Refused: sent by another site; {fix}")
        if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            return None
        return Refusal(403, "Refused: sent by another site")

    def check_read(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse to answer another machine without the token."""
        cross_site = headers.get("sec-fetch-site") == "cross-site"
        if cross_site and headers.get("sec-fetch-dest") != "document" and self.check_origin(headers):
            return Refusal(403, "Refused: read by another site")
        if self._web.public_read or self._is_this_machine(headers):
            return None
        if not self.token.exists and self._web.proxied:
            return Refusal(403, UNREADABLE)
        return self.check_token(headers, address)

    def check_write(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse a change that another site made, one without the token, and too many of them."""
        if refusal := self.check_origin(headers) or self.check_token(headers, address):
            return refusal
        wait = self._writes.take(address, time.monotonic())
        return Refusal(429, "Too many changes", wait) if wait else None

    def ingress_path(self, peer: str, headers: Mapping[str, str]) -> str | None:
        """Return the path of a request by ingress, None for any other, as `ingress.ingress_path`."""
        return ingress_path(self._web, peer, headers)

    def check_ingress(self, headers: Mapping[str, str], address: str, *, safe: bool) -> Refusal | None:
        """Refuse a request by ingress that another site made, and too many changes.

        Home Assistant has checked its host and its user, whose session it gives to no other site; it may
        have changed the host on the way, so what the browser says of the site decides.
        """
        site = headers.get("sec-fetch-site")
        if site not in {"same-origin", "none"} and (refusal := self.check_origin(headers)):
            return refusal
        wait = 0.0 if safe else self._writes.take(address, time.monotonic())
        return Refusal(429, "Too many changes", wait) if wait else None

    def check_set_up(self, headers: Mapping[str, str], address: str, *, safe: bool) -> Refusal | None:
        """Refuse set-up, and what it shows, without the token; on the first run this machine needs none."""
        if refusal := self.check_origin(headers):
            return refusal
        if not (self._first_run and self._is_this_machine(headers)):
            refusal = Refusal(403, NOT_HERE) if self._first_run else self.check_token(headers, address)
        wait = 0.0 if refusal or safe else self._writes.take(address, time.monotonic())
        return Refusal(429, "Too many changes", wait) if wait else refusal

    def end_first_run(self, token: str) -> None:
        """Require the token from now on, on this machine too."""
        self.token, self._first_run = _owner(token), False

    def check_token(self, headers: Mapping[str, str], address: str) -> Refusal | None:
        """Refuse a request with neither the token nor its session cookie."""
        if not self.token.exists:
            return Refusal(403, UNCHANGEABLE)
        return self._check(self.token, headers, address)

    def check_listen(self, headers: Mapping[str, str], address: str, *, ingress: bool) -> Refusal | None:
        """Refuse to listen without the token for it, also by ingress, and for another site."""
        if not self.listen_token.exists:
            return Refusal(403, UNHEARD)
        refusal = self.check_ingress(headers, address, safe=True) if ingress else self.check_origin(headers)
        return refusal or self._check(self.listen_token, headers, address)

    def check_given(self, given: str, address: str) -> Refusal | None:
        """Refuse what is no token at all, for some time after too many; a right one is always accepted."""
        if not (self.token.exists or self.listen_token.exists):
            return Refusal(403, UNCHANGEABLE)
        # First: behind a proxy many share one address, and the guesses of one must not lock out the others.
        if self.token.is_secret(given) or self.listen_token.is_secret(given):
            return None
        wait = self._failures.take(address, time.monotonic())
        return Refusal(429, "Too many wrong tokens", wait) if wait else Refusal(401, "Wrong token")

    def client(self, peer: str, forwarded_for: str) -> str:
        """Return the address under which a request is counted, as `peers.client_of`."""
        return client_of(peer, forwarded_for, self._proxies)

    def is_shared(self, address: str) -> bool:
        """Return whether an address may stand for many clients, as `peers.is_shared`."""
        return is_shared(address, self._proxies, proxied=self._web.proxied)

    def frame_ancestors(self) -> str:
        """Return the origins that may show the page in a frame, for the content security policy."""
        return " ".join(["'self'", *sorted(self._origins)])

    def _check(self, wanted: Token, headers: Mapping[str, str], address: str) -> Refusal | None:
        if wanted.has_session(headers):
            return None
        given = bearer(headers)
        if given is None:
            return Refusal(401, "The token is required")
        if refusal := self.check_given(given, address):
            return refusal
        if wanted.is_secret(given):
            return None
        return Refusal(403, _MAY_NOT_LISTEN if wanted is self.listen_token else _MAY_ONLY_LISTEN)

    def _is_this_machine(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request is from this machine and not forwarded by a reverse proxy."""
        forwarded = any(key in headers for key in FORWARDED)
        host = parse_authority(headers.get("host", ""))
        loopback = host is not None and host.is_loopback
        return self._web.local and loopback and not forwarded and not self._web.proxied


def _owner(token: str | None) -> Token:
    return Token(token, cookie="clap_monitor_session", purpose="session")


def _names_of(web: WebConfig) -> frozenset[str]:
    own, public = socket.gethostname().lower(), _public(web)
    names = {"localhost", own, f"{own}.local", *web.allowed_hosts}
    return frozenset(names if public is None else {*names, public[1].host})


def _public(web: WebConfig) -> tuple[str, Authority] | None:
    """Return scheme and authority of `web.public_url`."""
    return None if web.public_url is None else parse_origin("/".join(web.public_url.split("/")[:3]))


def _is_same(scheme: str, origin: Authority, host: str) -> bool:
    """Return whether an origin equals the host of the request; a missing port is that of the scheme."""
    own, default = parse_authority(host), DEFAULT_PORTS[scheme]
    return own is not None and (own.host, own.port or default) == (origin.host, origin.port or default)
