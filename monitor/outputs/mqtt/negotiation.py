"""Negotiation of the MQTT version and the last will, by trying."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from enum import Enum

from monitor.outputs.mqtt.connection_events import Disconnected
from monitor.outputs.mqtt.reason_codes import (
    MALFORMED,
    QOS_NOT_SUPPORTED,
    RETAIN_NOT_SUPPORTED,
    UNSUPPORTED_PROTOCOL,
)

MQTT_5, MQTT_3 = 5, 4
"""Protocol levels in the connect request; 4 is MQTT 3.1.1."""

VERSIONS = {MQTT_5: "MQTT 5", MQTT_3: "MQTT 3.1.1"}

VERIFIED_SECONDS = 86_400.0
"""How long options that were found to be the best possible are used before better ones are tried again."""

_VERSION_REFUSED = MALFORMED | {UNSUPPORTED_PROTOCOL}

_MALFORMED_LIMIT = 2
"""Malformed MQTT 5 connections before MQTT 3.1.1 is used."""


class LastWill(Enum):
    """Last will left with the broker, from the best to none."""

    RETAINED = "retained, with QoS 1"
    PLAIN = "not retained, with QoS 0"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Options of one connect request."""

    protocol: int = MQTT_5
    will: LastWill = LastWill.RETAINED
    subscribe: bool = True
    """Whether to subscribe to anything."""


class Negotiation:
    """Choose the options of the next attempt by the outcome of the attempts so far.

    A broker of MQTT 3.1.1 may close the connection without an answer to MQTT 5, and so may a broker that
    refuses a retained last will.  So does a broker that is just being restarted; therefore lesser options
    that are accepted are used only after better ones have failed while the broker was known to be up.
    ``protocol`` is ``auto``, ``5`` or ``3.1.1``.
    """

    def __init__(self, protocol: str = "auto") -> None:
        self._best = ConnectOptions(MQTT_3 if protocol == "3.1.1" else MQTT_5)
        self.options = self._best
        """Options of the current or the next attempt."""
        self._auto = protocol == "auto"
        self._verified: ConnectOptions | None = None
        self._verified_at = -math.inf
        self._up = False
        self._malformed = 0

    def refused(self, end: Disconnected) -> bool:
        """Choose other options if these may be why the broker refused the connection.

        Returns whether to try them at once, because the attempt reveals nothing about the broker yet.
        """
        if end.code in {RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED} and (
            lesser := _with_lesser_will(self.options)
        ):
            self.options, self._up = lesser, True
            return True
        version_refused = end.code in _VERSION_REFUSED
        if not (version_refused or end.unanswered or end.malformed):
            return False
        before = self.options
        self._up |= version_refused
        self.options = self._next() or self._best
        if self.options == self._best:
            self._up = False
            return False
        return self._up or before.protocol != self.options.protocol

    def connected(self) -> bool:
        """Record that the broker accepted these options; False if better ones must be tried once more."""
        if not self._up and self.options not in {self._best, self._verified}:
            self.options, self._up = self._best, True
            return False
        self._verified, self._verified_at = self.options, time.monotonic()
        return True

    def disconnected(self, end: Disconnected) -> None:
        """Start again after the end of an established connection; a broker may implement MQTT 5 badly."""
        self._up = False
        if time.monotonic() - self._verified_at > VERIFIED_SECONDS:
            self.options, self._verified = self._best, None
        self._malformed += end.malformed or end.code in MALFORMED
        if self._malformed >= _MALFORMED_LIMIT and self._auto and self.options.protocol == MQTT_5:
            self.options = self._verified = replace(self.options, protocol=MQTT_3)
            self._malformed = 0

    def _next(self) -> ConnectOptions | None:
        if self._auto and self.options.protocol == MQTT_5:
            return replace(self.options, protocol=MQTT_3)
        return _with_lesser_will(self.options)


def _with_lesser_will(options: ConnectOptions) -> ConnectOptions | None:
    if options.will is LastWill.RETAINED:
        return replace(options, will=LastWill.PLAIN)
    return replace(options, will=LastWill.NONE) if options.will is LastWill.PLAIN else None
