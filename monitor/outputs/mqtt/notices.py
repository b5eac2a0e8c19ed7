"""Notices that a connection to the broker gives, from the attempt to its end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What a broker says, in MQTT 5, that it can take; or what was learned about it."""

    max_qos: int = 2
    retain: bool = True
    max_bytes: int | None = None
    """Of a whole packet; None if there is no limit."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The port took the connection; now the broker must answer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker let us in."""

    limits: Limits = field(default_factory=Limits)
    own: frozenset[str] = frozenset()
    """Topics of our own that are being subscribed to."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered the subscription."""

    refused: tuple[tuple[str, int], ...] = ()
    """Filters that it refuses, each with its reason code."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has a message, or refuses it; with QoS 0: it is on its way."""

    message: int
    """What `Connection.publish` returned."""
    code: int = 0
    """Reason code; `reason_codes.REFUSING` and above: the broker does not deliver it."""


@dataclass(frozen=True, slots=True)
class Echoed:
    """One of our own messages came back to us: the broker does deliver what is published there."""

    topic: str


@dataclass(frozen=True, slots=True)
class Received:
    """Somebody published something under a topic that is subscribed to."""

    topic: str
    text: str
    """What is not UTF-8 is replaced."""
    retained: bool
    """It was published some time before we subscribed."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A message to us that cannot be read, and is not handed on."""

    why: str


@dataclass(frozen=True, slots=True)
class Ended:
    """There is no connection, or none any more; nothing follows."""

    why: str | None
    """What the broker did, as in "refused the connection"; None if we closed it."""
    code: int | None = None
    """Reason code, if the broker gave one."""
    wordless: bool = False
    """The port was open, but what is there ended the connection without an answer in MQTT."""
    malformed: bool = False
    """The broker sent something that is not MQTT of this version."""


Notice = Opened | Accepted | Subscribed | Acknowledged | Echoed | Received | LeftOut | Ended
