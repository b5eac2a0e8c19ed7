"""Token of the web server, and the session cookies that a browser has in its place."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

SESSION_SECONDS = 90 * 86_400


class Token:
    """A secret that gives a right.

    Parameters
    ----------
    secret : str or None
        None: nobody has the right.
    cookie : str
        Name of the cookie of its sessions.
    purpose : str
        Part of what signs a cookie: that of one right is worth nothing for another, even with one secret.
    """

    def __init__(self, secret: str | None, *, cookie: str, purpose: str) -> None:
        self.cookie = cookie
        self._secret = secret
        self._purpose = purpose

    @property
    def exists(self) -> bool:
        """Whether there is a secret."""
        return self._secret is not None

    def is_secret(self, given: str) -> bool:
        """Return whether a text is the secret, in a time that tells nothing about it."""
        if self._secret is None:
            return False
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._secret.encode())

    def session(self) -> str:
        """Return the value of a cookie of a session that begins now."""
        expires = f"{time.time() + SESSION_SECONDS:.0f}"
        return f"{expires}.{self._signature(expires)}"

    def has_session(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has a cookie that `session` made and that has not expired."""
        expires, _, signature = _cookie(headers.get("cookie", ""), self.cookie).partition(".")
        if self._secret is None or not expires.isascii() or not expires.isdecimal() or len(expires) > 12:  # noqa: PLR2004
            return False
        valid = hmac.compare_digest(signature.encode(), self._signature(expires).encode())
        return valid and time.time() < int(expires)

    def _signature(self, expires: str) -> str:
        text = f"clap-monitor {self._purpose} until {expires}"
        return hmac.new((self._secret or "").encode(), text.encode(), hashlib.sha256).hexdigest()


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the token in the header of a request; None if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if token and scheme.lower() == "bearer" else None


def _cookie(header: str, wanted: str) -> str:
    for pair in header.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted:
            return value
    return ""
