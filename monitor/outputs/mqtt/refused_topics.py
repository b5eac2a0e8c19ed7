"""Refused topics: topics that the broker refuses, each retried at intervals."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

RETRY_SECONDS = 300.0
"""From one attempt under a refused topic to the next."""

MAX_TOPICS = 1000
"""Topics that are remembered; messages under further ones are only counted."""

EXAMPLES = 3


@dataclass(slots=True)
class _Refusal:
    reason: str
    is_event: bool
    """Events wait for the topic."""
    retry_at: float
    """Monotonic seconds."""
    retried: bool = False
    unsent: bool = False
    """The message was not sent because the broker closes the connection on it."""


class RefusedTopics:
    """Remember which topics the broker refuses, so that nothing is published there again and again."""

    def __init__(self) -> None:
        self.count = 0
        """Refused messages."""
        self._topics: dict[str, _Refusal] = {}
        self._reopened = False
        self._others_at = math.inf

    def refuse(self, topic: str, reason: str, *, is_event: bool, unsent: bool = False) -> bool:
        """Record that the broker refuses a message; return whether it is the first refusal for this reason.

        An event then waits.  A message is ``unsent`` if the broker is known to refuse it.
        """
        self.count += 1
        is_new = all(known.reason != reason or known.is_event < is_event for known in self._topics.values())
        if topic in self._topics or len(self._topics) < MAX_TOPICS:
            retry_at = time.monotonic() + RETRY_SECONDS
            self._topics[topic] = _Refusal(reason, is_event, retry_at, unsent=unsent)
            if not is_event:
                self._others_at = min(self._others_at, retry_at)
        return is_new

    def accept(self, topic: str) -> None:
        """Record that the broker has accepted a message."""
        if self._topics.pop(topic, None) is not None:
            self._reopened = True

    def on_connect(self) -> None:
        """Allow one retry of every topic on a new connection, except of messages that end the connection."""
        self._others_at = math.inf
        for refusal in self._topics.values():
            if not refusal.unsent:
                refusal.retry_at, refusal.retried = 0.0, False

    def blocks(self, topic: str) -> bool:
        """Return whether events under a topic must wait; lets one through for each retry."""
        refusal = self._topics.get(topic)
        if refusal is None:
            return False
        if time.monotonic() < refusal.retry_at:
            return True
        refusal.retry_at = time.monotonic() + RETRY_SECONDS
        return False

    def retry_events(self) -> bool:
        """Return, once for each retry, whether waiting events may be tried now."""
        retry, self._reopened = self._reopened, False
        for refusal in self._topics.values():
            if refusal.is_event and not refusal.retried and time.monotonic() >= refusal.retry_at:
                refusal.retried = retry = True
        return retry

    def retry_others(self) -> bool:
        """Return, once for each retry, whether refused states and descriptions may be tried now."""
        retry = time.monotonic() >= self._others_at
        if retry:
            self._others_at = math.inf
        return retry

    def due(self) -> float:
        """Return the monotonic time of the next retry."""
        waiting = [each.retry_at for each in self._topics.values() if each.is_event and not each.retried]
        return min([*waiting, self._others_at])

    @property
    def refuses_others(self) -> bool:
        """Whether a message that is not an event is refused."""
        return any(not refusal.is_event for refusal in self._topics.values())

    @property
    def trouble(self) -> str | None:
        """Refused topics and reasons as the predicate of a sentence about the address."""
        if not self._topics:
            return None
        # Events first, then one of each kind of topic: kinds differ in the first or the last level.
        known = tuple(self._topics.items())
        ranked = sorted(known, key=lambda item: not item[1].is_event)
        examples: dict[tuple[str, str], str] = {}
        for topic, refusal in ranked:
            kind = (topic.partition("/")[0], topic.rpartition("/")[2])
            examples.setdefault(kind, f"{topic} ({refusal.reason})")
        shown = tuple(examples.values())[:EXAMPLES]
        more = f" and {len(known) - len(shown)} more topics" if len(known) > len(shown) else ""
        return f"refuses messages under {', '.join(shown)}{more}"
