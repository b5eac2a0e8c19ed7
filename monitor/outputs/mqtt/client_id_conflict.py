"""Contention: another client that connects with our client id, which ends our connection each time."""

from __future__ import annotations

import random
import time

from monitor.outputs.mqtt.notices import Ended
from monitor.outputs.mqtt.reason_codes import TAKEN_OVER

SHORT_SECONDS = 60.0
"""A connection that lasted longer was not contended for."""

SUSPICIOUS = 3
"""So many short connections in a row, without a reason given, are no accident."""

FIRST_DELAY, LONGEST_DELAY = 10.0, 120.0
"""Seconds until the next attempt; they double.  Two monitors that each reconnect at once would disturb each
other all the time, so that neither delivers anything."""

REMEMBERED_SECONDS = 600.0


class ClientIdConflict:
    """Notice it from how connections end: MQTT 5 says so, in MQTT 3.1.1 they are just short.

    Parameters
    ----------
    client_id : str
        Ours.
    """

    def __init__(self, client_id: str) -> None:
        self._client_id = client_id
        self._short = self._taken = 0
        self._noticed_at = -float("inf")

    def ended(self, end: Ended, *, lasted: float) -> None:
        """Note the end of a connection that had been accepted.

        Parameters
        ----------
        end : Ended
        lasted : float
            Seconds.
        """
        if lasted >= SHORT_SECONDS:
            self._short = self._taken = 0
        if end.code == TAKEN_OVER:
            self._taken += 1
        elif end.code is None and end.why is not None and not end.malformed:
            self._short += lasted < SHORT_SECONDS
        if self._taken or self._short >= SUSPICIOUS:
            self._noticed_at = time.monotonic()

    def delay(self) -> float | None:
        """Seconds until the next attempt; None if nobody contends."""
        times = self._taken or self._short - SUSPICIOUS + 1
        if times <= 0:
            return None
        # By chance: two monitors that wait equally long meet again.
        return random.uniform(0.75, 1.25) * min(FIRST_DELAY * 2.0 ** (times - 1), LONGEST_DELAY)

    @property
    def trouble(self) -> str | None:
        """What is wrong, as the end of a sentence that begins with the address; None if nothing is."""
        if time.monotonic() - self._noticed_at > REMEMBERED_SECONDS:
            return None
        give = "give each monitor a node or an mqtt.client_id of its own"
        if self._taken:
            return f"ended the connection for another client with the client id {self._client_id!r}: {give}"
        return (
            f"closes the connection again and again, {self._short} times within a minute each: unless it is "
            f"being restarted, another client uses the client id {self._client_id!r}; {give}"
        )
