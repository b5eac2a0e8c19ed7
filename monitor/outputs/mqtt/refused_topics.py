"""Refusals: topics under which the broker delivers nothing, each tried again now and then."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

TRY_AGAIN_SECONDS = 300.0
"""From one attempt under a topic that is refused to the next."""

MOST = 1000
"""Topics that are remembered; further ones are counted."""

EXAMPLES = 3


@dataclass(slots=True)
class _Refusal:
    why: str
    holds: bool
    """Events wait for it."""
    again_at: float
    """Seconds of the monotonic clock."""
    stirred: bool = False
    unsent: bool = False
    """It was not even sent, for the broker closes the connection on it: a new one changes nothing."""


class RefusedTopics:
    """Remember what the broker refuses, so that nothing is published there again and again."""

    def __init__(self) -> None:
        self.count = 0
        """Messages that were refused."""
        self._topics: dict[str, _Refusal] = {}
        self._reopened = False
        self._others_at = math.inf

    def refuse(self, topic: str, why: str, *, holds: bool, unsent: bool = False) -> bool:
        """Note that the broker refuses a message.

        Parameters
        ----------
        topic : str
        why : str
            In a few words.
        holds : bool
            Whether the message is an event, which waits.
        unsent : bool
            Whether the message was not sent because the broker is known not to take it.

        Returns
        -------
        bool
            Whether it is the first one with this reason.
        """
        self.count += 1
        news = all(known.why != why or known.holds < holds for known in self._topics.values())
        if topic in self._topics or len(self._topics) < MOST:
            again_at = time.monotonic() + TRY_AGAIN_SECONDS
            self._topics[topic] = _Refusal(why, holds, again_at, unsent=unsent)
            if not holds:
                self._others_at = min(self._others_at, again_at)
        return news

    def accept(self, topic: str) -> None:
        """Note that the broker has taken a message."""
        if self._topics.pop(topic, None) is not None:
            self._reopened = True

    def connected(self) -> None:
        """Let everything be tried once on a new connection, but for what ends it."""
        self._others_at = math.inf
        for refusal in self._topics.values():
            if not refusal.unsent:
                refusal.again_at, refusal.stirred = 0.0, False

    def blocks(self, topic: str) -> bool:
        """Tell whether events under a topic must wait; the first one after a while is let through."""
        refusal = self._topics.get(topic)
        if refusal is None:
            return False
        if time.monotonic() < refusal.again_at:
            return True
        refusal.again_at = time.monotonic() + TRY_AGAIN_SECONDS
        return False

    def stir(self) -> bool:
        """Tell, once, that events which waited may be tried now."""
        due = [
            refusal
            for refusal in self._topics.values()
            if refusal.holds and not refusal.stirred and time.monotonic() >= refusal.again_at
        ]
        for refusal in due:
            refusal.stirred = True
        stirs, self._reopened = bool(due) or self._reopened, False
        return stirs

    def stir_others(self) -> bool:
        """Tell, once, that what is published beside events may be tried now, for some of it is refused."""
        stirs = time.monotonic() >= self._others_at
        if stirs:
            self._others_at = math.inf
        return stirs

    def due(self) -> float:
        """Moment, on the monotonic clock, at which something is to be tried again."""
        waiting = [each.again_at for each in self._topics.values() if each.holds and not each.stirred]
        return min([*waiting, self._others_at])

    @property
    def refuses_others(self) -> bool:
        """Something else than an event is refused."""
        return any(not refusal.holds for refusal in self._topics.values())

    @property
    def trouble(self) -> str | None:
        """What is refused and why, as the end of a sentence that begins with the address."""
        if not self._topics:
            return None
        # Events first, then one of each kind of topic: they begin, or end, with other words.
        known = tuple(self._topics.items())
        ranked = sorted(known, key=lambda item: not item[1].holds)
        examples: dict[tuple[str, str], str] = {}
        for topic, refusal in ranked:
            kind = (topic.partition("/")[0], topic.rpartition("/")[2])
            examples.setdefault(kind, f"{topic} ({refusal.why})")
        shown = tuple(examples.values())[:EXAMPLES]
        more = f" and {len(known) - len(shown)} topics more" if len(known) > len(shown) else ""
        return f"does not take what is published under {', '.join(shown)}{more}"
