"""Terms of a connection: the version of MQTT and the last will, found by trying."""

from __future__ import annotations

import math
import ssl
import time
from dataclasses import dataclass, replace
from enum import Enum

from monitor.config import MqttConfig
from monitor.outputs.mqtt.notices import Ended
from monitor.outputs.mqtt.reason_codes import MALFORMED, NO_RETAIN, NO_SUCH_QOS, UNSUPPORTED_PROTOCOL

MQTT_5, MQTT_3 = 5, 4
"""Versions as they stand in the request to connect; 4 is MQTT 3.1.1."""

VERSIONS = {MQTT_5: "MQTT 5", MQTT_3: "MQTT 3.1.1"}

VERIFIED_SECONDS = 86_400.0
"""For so long terms that were found to be the best possible are used again without trying better ones."""

_UNSPOKEN = MALFORMED | {UNSUPPORTED_PROTOCOL}

_BROKEN_TWICE = 2


class Will(Enum):
    """Last will that is left with the broker; each is less than the one before."""

    RETAINED = "retained, with QoS 1"
    PLAIN = "not retained, with QoS 0"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a broker with the request to connect."""

    protocol: int = MQTT_5
    will: Will = Will.RETAINED
    subscribe: bool = True
    """Whether to subscribe to anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What all connections to one broker have in common."""

    config: MqttConfig
    """With a host."""
    client_id: str
    """The broker ends an older connection with the same one."""
    password: str | None = None
    tls: ssl.SSLContext | None = None
    """From `tls_context`."""
    will: str | None = None
    """Topic under which the broker publishes ``offline`` if the connection breaks; None: nowhere."""
    queue: int
    """At most so many messages wait for the broker; more are never acknowledged."""
    listen: tuple[str, ...] = ()
    """Filters of topics under which others are listened to."""
    own: frozenset[str] = frozenset()
    """Topics of our own, subscribed to for seeing whether the broker delivers what is published there."""


class Negotiation:
    """Choose the terms of the next attempt by how the attempts so far ended.

    A broker of MQTT 3.1.1 may close the connection without a word when it is asked for MQTT 5, and one that
    refuses a retained last will does the same.  So does one that is just being restarted; therefore lesser
    terms that are accepted are used only once better ones have failed while the broker was known to be up.

    Parameters
    ----------
    protocol : str
        ``auto``, ``5`` or ``3.1.1``.
    will : bool
        Whether to leave a last will.
    """

    def __init__(self, protocol: str = "auto", *, will: bool = True) -> None:
        best = Terms(MQTT_3 if protocol == "3.1.1" else MQTT_5, Will.RETAINED if will else Will.NONE)
        self.terms = best
        """Those of the next attempt, or of the one that is being made."""
        self._best = best
        self._auto = protocol == "auto"
        self._known: Terms | None = None
        self._known_at = -math.inf
        self._up = False
        self._malformed = 0

    def begin(self) -> None:
        """Begin anew, after a connection that had been accepted."""
        self._up = False
        if time.monotonic() - self._known_at > VERIFIED_SECONDS:
            self.terms, self._known = self._best, None

    def failed(self, ended: Ended) -> bool:
        """Choose other terms if these may be why the broker did not let us in.

        Returns
        -------
        bool
            Whether to try them at once, for the attempt says nothing yet about the broker.
        """
        if ended.code in {NO_RETAIN, NO_SUCH_QOS} and (lesser := _with_less_will(self.terms)):
            self.terms, self._up = lesser, True
            return True
        spoken = ended.code in _UNSPOKEN
        if not (spoken or ended.wordless or ended.malformed):
            return False
        before = self.terms
        self._up |= spoken
        self.terms = self._next() or self._best
        if self.terms == self._best:
            self._up = False
            return False
        return self._up or before.protocol != self.terms.protocol

    def accepted(self) -> bool:
        """Note that the broker lets us in on these terms; False if better ones are to be tried once more."""
        if not self._up and self.terms not in {self._best, self._known}:
            self.terms, self._up = self._best, True
            return False
        self._known, self._known_at = self.terms, time.monotonic()
        return True

    def broke(self, ended: Ended) -> None:
        """Note how a connection ended that had been accepted: a broker may speak MQTT 5 badly."""
        self._malformed += ended.malformed or ended.code in MALFORMED
        if self._malformed >= _BROKEN_TWICE and self._auto and self.terms.protocol == MQTT_5:
            self.terms = self._known = replace(self.terms, protocol=MQTT_3)
            self._malformed = 0

    def _next(self) -> Terms | None:
        if self._auto and self.terms.protocol == MQTT_5:
            return replace(self.terms, protocol=MQTT_3)
        return _with_less_will(self.terms)


def _with_less_will(terms: Terms) -> Terms | None:
    if terms.will is Will.RETAINED:
        return replace(terms, will=Will.PLAIN)
    return replace(terms, will=Will.NONE) if terms.will is Will.PLAIN else None
