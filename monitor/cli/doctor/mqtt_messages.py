"""Messages to and from the broker, as the monitor sends them: subscribed, published, and delivered again."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

from monitor.cli.doctor.finding import Code, Finding, failure, good, warning
from monitor.config import MqttConfig
from monitor.outputs.mqtt.connection import Connection, ConnectionProfile
from monitor.outputs.mqtt.connection_events import (
    Acknowledged,
    Connected,
    ConnectionEvent,
    Disconnected,
    Received,
    Subscribed,
)
from monitor.outputs.mqtt.discovery import birth_topic, discovery_topic
from monitor.outputs.mqtt.negotiation import MQTT_5, ConnectOptions
from monitor.outputs.mqtt.reason_codes import REFUSED, explain_refused_message
from monitor.outputs.mqtt.topics import Topics

_ANSWER_SECONDS, _DELIVERY_SECONDS = 10.0, 3.0

_LARGE = 100_000
"""Characters of the largest message that the monitor sends."""

N = TypeVar("N", Connected, Acknowledged, Received, Subscribed)


@dataclass(frozen=True, slots=True)
class _Try:
    """A message as the monitor would send one."""

    what: str
    topic: str
    text: str
    qos: int = 1
    retain: bool = False

    @property
    def named(self) -> str:
        """What it is and how it is sent, for people."""
        return f"{self.what} under {self.topic} ({'retained, ' if self.retain else ''}QoS {self.qos})"


class Session:
    """One connection, whose events are waited for; a context manager that ends it.

    Parameters
    ----------
    profile : ConnectionProfile
    options : ConnectOptions
    """

    def __init__(self, profile: ConnectionProfile, options: ConnectOptions) -> None:
        self._events: queue.SimpleQueue[ConnectionEvent] = queue.SimpleQueue()
        self._seen: list[ConnectionEvent] = []
        self.ended: Disconnected | None = None
        """How the broker ended it; None while it has not."""
        self.connection = Connection(profile, options, lambda _, event: self._events.put(event))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take leave of the broker."""
        self.connection.close()
        if self.ended is None:
            self._take_until(lambda event: isinstance(event, Disconnected))

    def wait_for(self, kind: type[N], **fields: object) -> N | Disconnected | None:
        """Wait for a event with such fields, or for the end; None if neither comes in time."""

        def matches(event: ConnectionEvent) -> bool:
            return isinstance(event, kind) and all(
                getattr(event, name) == value for name, value in fields.items()
            )

        seconds = _DELIVERY_SECONDS if kind is Received else _ANSWER_SECONDS
        found = next(filter(matches, self._seen), None) or self._take_until(matches, seconds)
        return found if isinstance(found, (kind, Disconnected)) else None

    def _take_until(
        self, matches: Callable[[ConnectionEvent], bool], seconds: float = _ANSWER_SECONDS
    ) -> ConnectionEvent | None:
        until = time.monotonic() + seconds
        while self.ended is None:
            try:
                event = self._events.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return None
            self._seen.append(event)
            if isinstance(event, Disconnected):
                self.ended = event
            if matches(event):
                return event
        return self.ended


def messages(
    profile: ConnectionProfile, options: ConnectOptions, *, node: str, where: str
) -> Iterator[Finding]:
    """Subscribe as the monitor does, and publish an event, a state and a description; clear what is retained.

    Parameters
    ----------
    profile : ConnectionProfile
        That of the login.
    options : ConnectOptions
        On which the broker lets us in.
    node : str
        Name of this monitor.
    where : str
        Address of the broker, for people.
    """
    config = profile.config
    topics = Topics(config.base_topic, node)
    tries = list(_tries(config, topics, node))
    filters = [*(topics.command_filters() if config.commands else ())]
    filters += [birth_topic(config.discovery_prefix)] if config.discovery else []
    own = dict.fromkeys(each.topic for each in tries)
    # Without a will: where the broker closes the connection, it would publish that.
    profile = replace(profile, will_topic=None, filters=(*filters, *own))
    finding, heard = _subscribe(profile, options, where, filters)
    yield finding
    options = replace(options, subscribe=finding.exit_code == 0 or bool(heard))
    for each in tries:
        yield _publish(profile, options, where, each, heard=each.topic in heard)
    state = next(each for each in tries if each.retain)
    with Session(replace(profile, filters=()), options) as session:
        if isinstance(session.wait_for(Connected), Connected):
            number = session.connection.publish(state.topic, "", qos=1, retain=True)
            session.wait_for(Acknowledged, packet_id=number)


def _tries(config: MqttConfig, topics: Topics, node: str) -> Iterator[_Try]:
    said = "clap-monitor doctor was here"
    yield _Try("an event", topics.event("doctor"), said, qos=config.qos)
    yield _Try("a state", topics.state("doctor", "doctor"), "OFF", retain=True)
    if config.discovery:
        topic = discovery_topic(config.discovery_prefix, f"{node}_doctor")
        yield _Try("a description for Home Assistant", topic, "", retain=True)
    yield _Try("a large message", topics.event("doctor"), said.ljust(_LARGE), qos=1)


def _subscribe(
    profile: ConnectionProfile, options: ConnectOptions, where: str, filters: list[str]
) -> tuple[Finding, frozenset[str]]:
    """Subscribe; also return the topics that we are let subscribe to."""
    fix = f"its access list must let {_who(profile)} read {', '.join(filters)}: else commands do not arrive"
    with Session(profile, options) as session:
        answer = session.wait_for(Subscribed)
    if not isinstance(answer, Subscribed):
        why = "does not answer" if answer is None else answer.reason or "closed the connection"
        says = f"{where} {why} when subscribed to {', '.join(filters)}"
        return failure("subscribe", says, Code.PUBLISH, fix), frozenset()
    refused = dict(answer.refused)
    heard = frozenset(profile.filters) - refused.keys()
    named = [f"{topic} ({explain_refused_message(refused[topic])})" for topic in filters if topic in refused]
    if named:
        return failure("subscribe", f"{where} refuses {', '.join(named)}", Code.PUBLISH, fix), heard
    return good(
        "subscribe", f"{where} takes subscriptions to {', '.join(filters) or 'its own messages'}"
    ), heard


def _publish(
    profile: ConnectionProfile, options: ConnectOptions, where: str, each: _Try, *, heard: bool
) -> Finding:
    """Publish one message on a connection of its own, for the broker may close it."""
    answer = back = None
    with Session(profile, options) as session:
        accepted = session.wait_for(Connected)
        if not isinstance(accepted, Connected):
            return failure("publish", f"{where} does not let us in again", Code.PUBLISH)
        most = accepted.limits.max_bytes
        if most is not None and len(each.text) >= most:
            return _too_large(where, f"takes at most {most:,} bytes at once")
        if options.subscribe:
            session.wait_for(Subscribed)
        number = session.connection.publish(each.topic, each.text, qos=each.qos, retain=each.retain)
        answer = session.wait_for(Acknowledged, packet_id=number)
        if heard and isinstance(answer, Acknowledged) and answer.code < REFUSED:
            back = session.wait_for(Received, topic=each.topic, retained=False)
        ended = session.ended
    if ended is None and isinstance(answer, Acknowledged):
        certain = options.protocol == MQTT_5 and each.qos > 0
        return _judge(profile, where, each, answer, back=back is not None, unheard=heard and not certain)
    why = "does not answer" if ended is None or ended.reason is None else ended.reason
    if len(each.text) == _LARGE:
        return _too_large(where, f"{why} when a message of {_LARGE:,} bytes is published")
    return failure("publish", f"{where} {why} when told {each.named}", Code.PUBLISH, _fix(profile, each))


def _judge(
    profile: ConnectionProfile, where: str, each: _Try, answer: Acknowledged, *, back: bool, unheard: bool
) -> Finding:
    """Judge what became of an acknowledged message: whether it came back, and would have had to."""
    if answer.code >= REFUSED:
        why = explain_refused_message(answer.code)
        return failure("publish", f"{where} refuses {each.named}: {why}", Code.PUBLISH, _fix(profile, each))
    if back:
        return good("publish", f"{where} took and delivered {each.named}")
    if len(each.text) == _LARGE:
        says = f"acknowledged a message of {_LARGE:,} bytes and did not deliver it"
        return _too_large(where, says) if unheard else good("publish", f"{where} took {each.named}")
    if unheard:
        says = (
            f"{where} acknowledged {each.named} and did not deliver it: it may not be written, or not be read"
        )
        return failure("publish", says, Code.PUBLISH, _fix(profile, each))
    fix = "if others get it, all is well: this user may not read it"
    return warning("publish", f"{where} took {each.named}; it did not come back", fix)


def _fix(profile: ConnectionProfile, each: _Try) -> str:
    below = each.topic.partition("/doctor")[0].removesuffix("/config")
    return f"its access list must let {_who(profile)} write {below}/#"


def _too_large(where: str, says: str) -> Finding:
    fix = (
        "raise its limit (mosquitto: max_packet_size), or the description for Home Assistant may be left out"
    )
    return warning("publish", f"{where} {says}", fix)


def _who(profile: ConnectionProfile) -> str:
    return profile.config.username or "anonymous"
