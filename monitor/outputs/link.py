"""A way to the broker that is made again whenever it breaks, and knows what has arrived.

Everything but `wake` is called by one thread, the one that publishes.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from monitor.outputs.broker import (
    NOT_MQTT,
    Accepted,
    Acknowledged,
    Connection,
    Ended,
    Notice,
    Opened,
    Received,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

STABLE_SECONDS = 60.0
"""A connection that lasted so long ends the series of growing delays."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between two attempts; each failure doubles them."""


@dataclass(frozen=True, slots=True)
class _Sent(Generic[T]):
    at: float
    """Seconds of the monotonic clock."""
    letter: T | None


class Link(Generic[T]):
    """Publish over one connection after another.

    Parameters
    ----------
    connect : callable
        Begins a `Connection` that reports to the function it is given.
    address : str
        Of the broker, for people.
    silence_seconds : float
        A connection on which a message is not acknowledged for so long counts as broken.
    receive : callable
        Takes what is said under the topics listened to, in the thread of the connection; it must neither
        block nor fail.
    answer_seconds : float
        A broker says at once whether it lets us in; what is silent for so long is none.
    """

    def __init__(
        self,
        connect: Callable[[Callable[[Connection, Notice], None]], Connection],
        *,
        address: str,
        silence_seconds: float,
        receive: Callable[[Received], None] = lambda _: None,
        answer_seconds: float = 5.0,
    ) -> None:
        self.connected = False
        self.trouble: str | None = None
        """Why there is no connection, for people; None while there is one, and before the first attempt."""
        self.arrived: list[T] = []
        """Letters that have been acknowledged, oldest first; whoever publishes takes them out."""
        self.ended = 0
        """Attempts that failed and connections that broke; a letter not acknowledged by then is forgotten."""
        self._connect = connect
        self._address = address
        self._receive = receive
        self._silence_seconds = silence_seconds
        self._answer_seconds = answer_seconds
        self._connection: Connection | None = None
        self._notices: deque[tuple[Connection, Notice]] = deque()
        self._wake = threading.Event()
        self._sent: dict[int, _Sent[T]] = {}
        self._dial_at = 0.0
        self._delay = FIRST_DELAY / 2
        self._answer_by = math.inf
        self._accepted_at = math.inf

    @property
    def unacknowledged(self) -> int:
        """Messages on their way, with and without a letter."""
        return len(self._sent)

    @property
    def doubt(self) -> str:
        """What can be said, as `trouble` would say it, of an attempt that has come to nothing so far."""
        if math.isinf(self._answer_by):
            return f"{self._address} has not been reached yet"
        return f"{self._address} {NOT_MQTT.format('no answer so far')}"

    def wake(self) -> None:
        """End the current or the next `wait`; from any thread."""
        self._wake.set()

    def wait(self, until: float) -> bool:
        """Wait for `wake`, for the broker, or for a moment of the monotonic clock; keep the connection up.

        Returns
        -------
        bool
            Whether there is a new connection, on which nothing has been said yet.
        """
        if self._connection is None and time.monotonic() >= self._dial_at:
            self._connection = self._connect(self._notify)
        due = min(until, self._answer_by, self._acknowledge_by())
        if self._connection is None:
            due = min(due, self._dial_at)
        self._wake.wait(None if math.isinf(due) else max(0.0, due - time.monotonic()))
        self._wake.clear()
        before = self._accepted_at
        while self._notices:
            connection, notice = self._notices.popleft()
            if connection is self._connection:
                self._hear(notice)
        self._judge_silence()
        return self.connected and self._accepted_at != before

    def publish(
        self, topic: str, text: str, *, qos: int, retain: bool = False, letter: T | None = None
    ) -> None:
        """Send a message on the connection there is; without QoS and letter nobody asks what became of it."""
        if self._connection is None:
            raise RuntimeError("there is no connection")
        number = self._connection.publish(topic, text, qos=qos, retain=retain)
        if qos or letter is not None:
            self._sent[number] = _Sent(time.monotonic(), letter)

    def hurry(self) -> None:
        """Make the next attempt at once."""
        self._dial_at = 0.0

    def close(self) -> None:
        """Take leave of the broker, if there is one; `ended` grows once it is done."""
        if self._connection is not None:
            self._connection.close()

    def _notify(self, connection: Connection, notice: Notice) -> None:
        if isinstance(notice, Received):  # others say it, as often as they like: it never waits here
            self._receive(notice)
        else:
            self._notices.append((connection, notice))
        self._wake.set()

    def _hear(self, notice: Notice) -> None:
        match notice:
            case Opened():
                self._answer_by = time.monotonic() + self._answer_seconds
            case Accepted():
                self.connected, self.trouble = True, None
                self._answer_by = math.inf
                self._accepted_at = time.monotonic()
            case Acknowledged(number):
                sent = self._sent.pop(number, None)
                if sent is not None and sent.letter is not None:
                    self.arrived.append(sent.letter)
            case Ended(why):
                self._end(why)

    def _acknowledge_by(self) -> float:
        oldest = next(iter(self._sent.values()), None)
        return math.inf if oldest is None else oldest.at + self._silence_seconds

    def _judge_silence(self) -> None:
        """Give up a connection on which the broker does not say what it must."""
        now = time.monotonic()
        if now >= self._answer_by:
            why = NOT_MQTT.format(f"no answer within {self._answer_seconds:g} s")
        elif now >= self._acknowledge_by():
            why = "stopped answering"
        else:
            return
        self.close()
        self._end(why)

    def _end(self, why: str | None) -> None:
        now = time.monotonic()
        stable = self.connected and now - self._accepted_at >= STABLE_SECONDS
        self._delay = FIRST_DELAY if stable else min(2 * self._delay, LONGEST_DELAY)
        self._dial_at = now + self._delay
        self._connection, self.connected, self._answer_by = None, False, math.inf
        self._sent.clear()
        self.ended += 1
        if why is None:
            return
        trouble = f"{self._address} {why}"
        if trouble != self.trouble:  # a broker that stays away is one line, not one for each attempt
            log.warning("mqtt: %s", trouble)
        self.trouble = trouble
