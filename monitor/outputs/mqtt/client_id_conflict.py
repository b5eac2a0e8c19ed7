"""Client id conflict: another client uses our client id, and each ends the connection of the other."""

from __future__ import annotations

import random
import time

from monitor.outputs.mqtt.connection_events import Disconnected
from monitor.outputs.mqtt.reason_codes import SESSION_TAKEN_OVER

SHORT_SECONDS = 60.0
"""Longer connections do not count towards a conflict."""

SUSPICIOUS_COUNT = 3
"""Short connections in a row, without a reason code, that mean a conflict."""

FIRST_DELAY, LONGEST_DELAY = 10.0, 120.0
"""Seconds until the next attempt; they double.  Two monitors that both reconnect at once would keep
disconnecting each other, and neither would deliver anything."""

REMEMBERED_SECONDS = 600.0


class ClientIdConflict:
    """Detect a conflict from disconnects: MQTT 5 has a reason code; in MQTT 3.1.1 connections are short."""

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._short = self._taken_over = 0
        self._detected_at = -float("inf")

    def disconnected(self, end: Disconnected, *, seconds: float) -> None:
        """Record the end of an established connection that lasted this many seconds."""
        if seconds >= SHORT_SECONDS:
            self._short = self._taken_over = 0
        if end.code == SESSION_TAKEN_OVER:
            self._taken_over += 1
        elif end.code is None and end.reason is not None and not end.malformed:
            self._short += seconds < SHORT_SECONDS
        if self._taken_over or self._short >= SUSPICIOUS_COUNT:
            self._detected_at = time.monotonic()

    def delay(self) -> float:
        """Return the seconds until the next attempt; 0 without a conflict."""
        times = self._taken_over or self._short - SUSPICIOUS_COUNT + 1
        if times <= 0:
            return 0.0
        # Random: two monitors with equal delays would meet again.
        return random.uniform(0.75, 1.25) * min(FIRST_DELAY * 2.0 ** (times - 1), LONGEST_DELAY)

    @property
    def trouble(self) -> str | None:
        """The conflict as the predicate of a sentence about the address; None without a conflict."""
        if time.monotonic() - self._detected_at > REMEMBERED_SECONDS:
            return None
        fix = "give each monitor a node or an mqtt.client_id of its own"
        if self._taken_over:
            return f"ended the connection for another client with the client id {self._client_id!r}: {fix}"
        return (
            f"closes the connection again and again, {self._short} times within a minute each: unless it is "
            f"being restarted, another client uses the client id {self._client_id!r}; {fix}"
        )
