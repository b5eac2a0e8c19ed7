"""Events of a connection to the broker, from the attempt to the disconnect."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """Limits that a broker announces in MQTT 5, or that were learned about it."""

    max_qos: int = 2
    retain: bool = True
    max_bytes: int | None = None
    """Of a whole packet; None: no limit."""


@dataclass(frozen=True, slots=True)
class SocketOpened:
    """The port accepted the connection; the broker must answer now."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection."""

    limits: BrokerLimits = field(default_factory=BrokerLimits)
    own_topics: frozenset[str] = frozenset()
    """Topics of this monitor that are being subscribed to."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered the subscription."""

    refused: tuple[tuple[str, int], ...] = ()
    """Refused filters, each with its reason code."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker acknowledged or refused a message; with QoS 0: the message was sent."""

    packet_id: int
    """Return value of `Connection.publish`."""
    code: int = 0
    """Reason code; from `reason_codes.REFUSED` on, the broker does not deliver the message."""


@dataclass(frozen=True, slots=True)
class Echoed:
    """The broker delivered one of our own messages back to us."""

    topic: str


@dataclass(frozen=True, slots=True)
class Received:
    """Another client published under a subscribed topic."""

    topic: str
    text: str
    """Bytes that are not UTF-8 are replaced."""
    retained: bool
    """The message was published before we subscribed."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A received message that cannot be read and is dropped."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The attempt failed or the connection ended; no event follows."""

    reason: str | None
    """What the broker did, as in "refused the connection"; None if we disconnected."""
    code: int | None = None
    """Reason code, if the broker sent one."""
    unanswered: bool = False
    """The port was open, but the connection ended without an MQTT answer."""
    malformed: bool = False
    """The broker sent something that is not MQTT of this version."""


ConnectionEvent = (
    SocketOpened | Connected | Subscribed | Acknowledged | Echoed | Received | Unreadable | Disconnected
)
