"""Connection limits: how many connections there may be, and how long each may make no progress.

Anybody who reaches the port can open connections and send nothing, send a byte a minute, or not read the
answers.  So every state of a connection, except while its request is being answered, has a time limit; and
if there are too many connections, the one that has waited longest is ended for a new one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Protocol

MAX_CONNECTIONS = 256

MAX_PER_ADDRESS = 64
"""A browser opens six, and one address may stand for all devices of a home."""

MAX_REJECTED = 32
"""Connections above the limit that receive a 503; more of them are ended without an answer."""

TIMEOUT_SECONDS = {"head": 10.0, "body": 20.0, "unread": 30.0, "closing": 10.0, "answer": math.inf}
"""By state: until the head of a request has arrived, until its body has, until the client reads a part of the
answer, until the connection has closed.  While a request is being answered, the client cannot do anything."""


class Connection(Protocol):
    """A connection as the limits see it."""

    address: str
    """Connections of one address are counted together."""
    since: float
    """Monotonic seconds when it last made progress."""

    def progress(self) -> tuple[object, ...]:
        """Return the state, one of `TIMEOUT_SECONDS`, and what changes when the client makes progress."""

    def expire(self, state: str) -> None:
        """End because the client made no progress in this state."""

    def drop(self) -> None:
        """End at once."""


class ConnectionLimits:
    """Limits of all connections; used in the loop of the web server only.

    ``is_shared`` tells whether an address stands for many clients: then only `MAX_CONNECTIONS` holds.
    """

    def __init__(self, is_shared: Callable[[str], bool]) -> None:
        self.turned_away = 0
        """Connections that were ended because there were too many."""
        self.expired = 0
        """Connections that were ended because they made no progress."""
        self._is_shared = is_shared
        self._progress: dict[Connection, tuple[object, ...]] = {}

    def admit(self, connection: Connection, now: float) -> bool:
        """Add a connection; False if there are too many, and all others are being answered."""
        connection.since = now
        self._progress[connection] = connection.progress()
        same = [each for each in self._progress if each.address == connection.address]
        if len(same) > MAX_PER_ADDRESS and not self._is_shared(connection.address):
            return self._make_room(same, connection)
        if len(self._progress) > MAX_CONNECTIONS:
            return self._make_room(self._progress, connection)
        return True

    def remove(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._progress.pop(connection, None)

    def replace(self, before: Connection, after: Connection, now: float) -> None:
        """Replace a connection by the WebSocket that it has become."""
        self.remove(before)
        after.since = now
        self._progress[after] = after.progress()

    def expire_stalled(self, now: float) -> None:
        """End connections that made no progress in time; called about once a second."""
        for connection, before in list(self._progress.items()):
            progress = connection.progress()
            if progress != before:
                self._progress[connection] = progress
                connection.since = now
            elif now - connection.since > TIMEOUT_SECONDS[str(progress[0])]:
                self.expired += 1
                connection.expire(str(progress[0]))

    def _make_room(self, among: Collection[Connection], newest: Connection) -> bool:
        self.turned_away += 1
        waiting = [each for each in among if each is not newest and each.progress()[0] != "answer"]
        victim = min(waiting, key=lambda each: each.since, default=newest)
        self.remove(victim)
        if victim is newest:
            return False
        victim.drop()
        return True
