"""Crowd: how many connections there may be, for how long each may keep us waiting, and which one goes first.

Anybody who reaches the port can open connections and say nothing, say a letter a minute, or read nothing of
what they asked for.  So every state of a connection but that of being answered has a time after which it
is over; and where there are too many, whoever keeps us waiting longest makes room for whoever comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Protocol

MOST = 256
"""Connections."""

MOST_OF_ONE = 64
"""Connections of one address: a browser keeps six, and a household has several."""

MOST_TURNED_AWAY = 32
"""Connections more than there may be that are told so; any more are ended without a word."""

SECONDS = {"head": 10.0, "body": 20.0, "unread": 30.0, "closing": 10.0, "answer": math.inf}
"""How long a connection may be waited for: until a request has come, until its body has, until at least some
of the answer has been taken, until it has closed.  To answer is our part."""


class Member(Protocol):
    """A connection."""

    address: str
    """Whose connections are counted together."""
    since: float
    """Monotonic seconds when its state began."""

    def mark(self) -> tuple[object, ...]:
        """Return its state, one of `SECONDS`, and what else tells that it has got on."""

    def expire(self, state: str) -> None:
        """End it, with a word where one can still be said."""

    def drop(self) -> None:
        """End it at once."""


class ConnectionLimits:
    """Let connections in and see that they get on; all in the loop of the web server.

    Parameters
    ----------
    is_shared : callable
        Tells whether many may come from an address: then only `MOST` holds.
    """

    def __init__(self, is_shared: Callable[[str], bool]) -> None:
        self.turned_away = 0
        """Connections that were ended because there were too many."""
        self.expired = 0
        """Connections that were ended because they kept us waiting."""
        self._is_shared = is_shared
        self._marks: dict[Member, tuple[object, ...]] = {}

    def admit(self, newcomer: Member, now: float) -> bool:
        """Let one more in; False if there is no room, for no other keeps us waiting."""
        newcomer.since = now
        self._marks[newcomer] = newcomer.mark()
        own = [each for each in self._marks if each.address == newcomer.address]
        if len(own) > MOST_OF_ONE and not self._is_shared(newcomer.address):
            return self._make_room(own, newcomer)
        if len(self._marks) > MOST:
            return self._make_room(self._marks, newcomer)
        return True

    def leave(self, member: Member) -> None:
        """Forget a connection that has ended."""
        self._marks.pop(member, None)

    def replace(self, before: Member, after: Member, now: float) -> None:
        """Know a connection that has become a WebSocket."""
        self.leave(before)
        after.since = now
        self._marks[after] = after.mark()

    def look(self, now: float) -> None:
        """End whoever has not got on in time; to be called about once a second."""
        for member, before in list(self._marks.items()):
            mark = member.mark()
            if mark != before:
                self._marks[member] = mark
                member.since = now
            elif now - member.since > SECONDS[str(mark[0])]:
                self.expired += 1
                member.expire(str(mark[0]))

    def _make_room(self, among: Collection[Member], newcomer: Member) -> bool:
        self.turned_away += 1
        waiting = [each for each in among if each is not newcomer and each.mark()[0] != "answer"]
        victim = min(waiting, key=lambda each: each.since, default=newcomer)
        self.leave(victim)
        if victim is newcomer:
            return False
        victim.drop()
        return True
