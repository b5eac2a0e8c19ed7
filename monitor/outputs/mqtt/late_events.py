"""Hold of late events until Home Assistant has subscribed to them.

When a broker comes back, the monitor reconnects first: Home Assistant retries every 10 s.  What is sent
before it has subscribed reaches nobody, and the broker acknowledges it all the same.  The birth message
shows that it has subscribed.  If none comes, because Home Assistant was never away, sends none or does not
exist, the hold ends by itself.  Live events are not held.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from monitor.outputs.mqtt.queue_file import QueuedMessage

HOLD_SECONDS = 15.0
"""Longest hold after a connection: one retry interval of Home Assistant, and time to subscribe."""

BIRTH_SECONDS = 2.0
"""Hold after a birth message: meanwhile Home Assistant creates the entities of the newest description."""


class LateEvents:
    """Decide which messages wait for Home Assistant; used by the publisher's thread."""

    def __init__(self) -> None:
        self._up_to = -math.inf
        self._until = -math.inf
        self._started: Collection[str] = frozenset()

    @property
    def active(self) -> bool:
        """Whether messages are held."""
        return self._up_to > -math.inf

    def begin(self, up_to: int, started: Collection[str]) -> None:
        """Hold messages up to a number on a new connection.

        ``started`` are the events whose start is held and whose end is yet to come: it is held as well.
        """
        self._up_to, self._started = up_to, frozenset(started)
        self._until = time.monotonic() + HOLD_SECONDS

    def on_birth(self) -> None:
        """Shorten the hold, because Home Assistant has subscribed."""
        if self.active:
            self._until = time.monotonic() + BIRTH_SECONDS

    def release(self) -> None:
        """End the hold."""
        self._up_to = self._until = -math.inf

    def release_if_due(self) -> bool:
        """End the hold if it has lasted long enough; return whether it ended."""
        is_due = self.active and time.monotonic() >= self._until
        if is_due:
            self.release()
        return is_due

    def holds(self, message: QueuedMessage) -> bool:
        """Return whether a message must wait."""
        return self.active and (message.number <= self._up_to or self.is_late_end(message))

    def due(self) -> float:
        """Return the monotonic time at which the hold ends; infinity without a hold."""
        return self._until if self.active else math.inf

    def is_late_end(self, message: QueuedMessage) -> bool:
        """Return whether this is the end of an event whose start is, or was, held on this connection."""
        return not message.is_start and message.event_id in self._started
