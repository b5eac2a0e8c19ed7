"""Suspects: messages on which a broker closes the connection instead of saying what it does not take.

In MQTT 3.1.1 that is the only way a broker has, be it a limit of size, no retained messages, no QoS 2, or
its access list.  The oldest message that it had not acknowledged when it closed is the suspect; the second
time, it is left out, or sent in another way, and everything else goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.outputs.mqtt.notices import Limits

SMALL = 2048
"""Bytes of a message that no broker calls too large."""

ENOUGH, ENOUGH_THOUGH_TAKEN = 2, 5
"""So often a connection must be closed on a message; more often on what was taken before: networks fail."""

TRY_AGAIN_SECONDS, LONGEST_SECONDS = 600.0, 86_400.0
"""What was left out for so long is tried once more; each time, which may cost a connection, doubles it."""

_HEADER = 12
"""Bytes of a packet beside topic and text, at most."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is sent, without its text."""

    topic: str
    size: int
    """Bytes of the packet."""
    qos: int
    retain: bool


SUBSCRIPTION = Message("", 0, 1, retain=False)
"""The request to subscribe, which is not published."""


def message_of(topic: str, text: str, *, qos: int, retain: bool) -> Message:
    """Describe a message."""
    # A lone surrogate, which cannot be sent, is refused by whoever sends.
    size = len(topic.encode(errors="replace")) + len(text.encode(errors="replace")) + _HEADER
    return Message(topic, size, qos, retain)


@dataclass(slots=True)
class _Blamed:
    message: Message
    why: str
    at: float


class SuspectMessages:
    """Find out what a broker does not take, from what it had acknowledged when it closed the connection."""

    def __init__(self) -> None:
        self._last: Message | None = None
        self._times = 0
        self._blamed: dict[str, _Blamed] = {}
        self._too_large: _Blamed | None = None
        self._no_retain: _Blamed | None = None
        self._no_qos_2: _Blamed | None = None
        self._taken: dict[str, Message] = {}
        self._retain_taken = self._qos_2_taken = False
        self._largest_taken = SMALL
        self._patience = TRY_AGAIN_SECONDS

    @property
    def suspects(self) -> bool:
        """The last connection was closed on a message that is not blamed yet."""
        return self._last is not None

    def taken(self, message: Message) -> None:
        """Note that the broker has acknowledged a message."""
        self._taken[message.topic] = message
        self._retain_taken |= message.retain
        self._qos_2_taken |= message.qos == 2  # noqa: PLR2004 - exactly once
        self._largest_taken = max(self._largest_taken, message.size)
        if self._last is not None and self._last.topic == message.topic:
            self._last = None

    def closed(self, message: Message) -> str | None:
        """Note that the connection was closed when this message was the oldest without an answer.

        Returns
        -------
        str or None
            What will be different from now on, as the end of a sentence that begins with the address.
        """
        same = self._last is not None and self._last.topic == message.topic
        self._last, self._times = message, self._times + 1 if same else 1
        if self._times < (ENOUGH if not self._is_known(message) else ENOUGH_THOUGH_TAKEN):
            return None
        self._last = None
        return self._blame(message)

    def refused(self, message: Message, *, retain: bool = False, qos: bool = False) -> None:
        """Note what the broker itself said that it does not take."""
        now = time.monotonic()
        if retain:
            self._no_retain = _Blamed(message, "does not take retained messages", now)
        elif qos:
            self._no_qos_2 = _Blamed(message, "does not take QoS 2", now)

    @property
    def limits(self) -> Limits:
        """What is known of the broker."""
        return Limits(max_qos=2 if self._no_qos_2 is None else 1, retain=self._no_retain is None)

    def objection(self, message: Message) -> str | None:
        """Say why a message must not be sent; None if it may be.

        What was left out for long gets another chance; closing once is then enough to leave it out again.
        """
        blamed = self._blamed.get(message.topic)
        if blamed is None and self._too_large is not None and message.size >= self._too_large.message.size:
            blamed = self._too_large
        if blamed is None:
            return None
        if time.monotonic() - blamed.at < self._patience:
            return blamed.why
        self._blamed.pop(message.topic, None)
        self._too_large = None if blamed is self._too_large else self._too_large
        self._last, self._times = message, ENOUGH - 1
        self._patience = min(2 * self._patience, LONGEST_SECONDS)
        return None

    def lessened(self) -> Iterator[str]:
        """Say what is sent in another way than it should be."""
        yield from (blamed.why for blamed in (self._no_retain, self._no_qos_2) if blamed is not None)

    def _blame(self, message: Message) -> str:
        now = time.monotonic()
        if message == SUBSCRIPTION:
            why = "closes the connection when this monitor subscribes: commands do not arrive"
            self._blamed[message.topic] = _Blamed(message, why, now)
        elif message.qos == 2 and not self._qos_2_taken:  # noqa: PLR2004
            why = f"closes the connection on QoS 2 ({message.topic}): QoS 1 is used"
            self._no_qos_2 = _Blamed(message, why, now)
        elif message.retain and self._is_retaining_the_cause(message):
            why = f"closes the connection on a retained message ({message.topic}): nothing is retained there"
            self._no_retain = _Blamed(message, why, now)
            self._blamed = {topic: blamed for topic, blamed in self._blamed.items() if topic == ""}
            self._too_large = None
        elif message.size > self._largest_taken:
            self._spare(message)
            why = f"closes the connection on a message of {message.size:,} bytes ({message.topic})"
            if self._largest_taken > SMALL:
                why += f", and took one of {self._largest_taken:,}"
            self._too_large = _Blamed(message, "too large: the broker closes the connection on it", now)
        else:
            self._spare(message)
            self._blamed[message.topic] = _Blamed(message, "the broker closes the connection on it", now)
            why = f"closes the connection on what is published under {message.topic}, which is left out"
        return why

    def _is_known(self, message: Message) -> bool:
        """Something like it was taken before."""
        taken = self._taken.get(message.topic)
        return (
            taken is not None
            and (taken.retain, taken.qos) == (message.retain, message.qos)
            and message.size <= self._largest_taken
        )

    def _is_retaining_the_cause(self, message: Message) -> bool:
        """Only if it never kept a message, and the size cannot be the cause."""
        others = [*self._blamed.values(), *([] if self._too_large is None else [self._too_large])]
        retained_too = any(other.message.retain for other in others)
        return not self._retain_taken and (message.size <= SMALL or retained_too)

    def _spare(self, message: Message) -> None:
        """Take back what was blamed on this message before, and was not the cause."""
        if self._no_retain is not None and self._no_retain.message.topic == message.topic:
            self._no_retain = None
        if self._no_qos_2 is not None and self._no_qos_2.message.topic == message.topic:
            self._no_qos_2 = None
