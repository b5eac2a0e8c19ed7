"""Message checks: subscribe and publish as the monitor does, and check what the broker delivers."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from monitor.config import MqttConfig
from monitor.daemon.checks.finding import Finding, failure, good, warning
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
from monitor.types import ExitCode

_ANSWER_SECONDS, _DELIVERY_SECONDS = 10.0, 3.0

_LARGE = 100_000
"""Size of the largest message that the monitor sends, in characters."""

N = TypeVar("N", Connected, Acknowledged, Received, Subscribed)


@dataclass(frozen=True, slots=True)
class _Message:
    """Test message, sent as the monitor would send it."""

    what: str
    topic: str
    text: str
    qos: int = 1
    retain: bool = False

    @property
    def named(self) -> str:
        """Description, with topic and delivery."""
        return f"{self.what} to {self.topic} ({'retained, ' if self.retain else ''}QoS {self.qos})"


class Session:
    """Connection whose events can be waited for; a context manager that closes it."""

    def __init__(self, profile: ConnectionProfile, options: ConnectOptions) -> None:
        self._events: queue.SimpleQueue[ConnectionEvent] = queue.SimpleQueue()
        self._seen: list[ConnectionEvent] = []
        self.ended: Disconnected | None = None
        """How the connection ended; None while it is open."""
        self.connection = Connection(profile, options, lambda _, event: self._events.put(event))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self.connection.close()
        if self.ended is None:
            self._take_until(lambda event: isinstance(event, Disconnected))

    def wait_for(self, kind: type[N], **fields: object) -> N | Disconnected | None:
        """Wait for an event with these fields, or for the end of the connection; None after a timeout."""

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
    """Subscribe as the monitor does; publish an event, a state and a discovery message; clear retained ones.

    The broker has accepted the options, and ``where`` is its address.
    """
    config = profile.config
    topics = Topics(config.base_topic, node)
    tests = list(_test_messages(config, topics, node))
    filters = [*(topics.command_filters() if config.commands else ())]
    filters += [birth_topic(config.discovery_prefix)] if config.discovery else []
    own = dict.fromkeys(each.topic for each in tests)
    # Without a will: where the broker closes the connection, it would publish that.
    profile = replace(profile, will_topic=None, filters=(*filters, *own))
    finding, readable = _subscribe(profile, options, where, filters)
    yield finding
    options = replace(options, subscribe=finding.exit_code == 0 or bool(readable))
    for each in tests:
        yield _publish(profile, options, where, each, readable=each.topic in readable)
    state = next(each for each in tests if each.retain)
    with Session(replace(profile, filters=()), options) as session:
        if isinstance(session.wait_for(Connected), Connected):
            number = session.connection.publish(state.topic, "", qos=1, retain=True)
            session.wait_for(Acknowledged, packet_id=number)


def _test_messages(config: MqttConfig, topics: Topics, node: str) -> Iterator[_Message]:
    text = "test message of clap-monitor doctor"
    yield _Message("an event", topics.event("doctor"), text, qos=config.qos)
    yield _Message("a state", topics.state("doctor", "doctor"), "OFF", retain=True)
    if config.discovery:
        topic = discovery_topic(config.discovery_prefix, f"{node}_doctor")
        yield _Message("a discovery message", topic, "", retain=True)
    yield _Message("a large message", topics.event("doctor"), text.ljust(_LARGE), qos=1)


def _subscribe(
    profile: ConnectionProfile, options: ConnectOptions, where: str, filters: list[str]
) -> tuple[Finding, frozenset[str]]:
    """Subscribe; also return the accepted topics."""
    fix = f"allow {_who(profile)} to read {', '.join(filters)} in the access list, for commands"
    with Session(profile, options) as session:
        answer = session.wait_for(Subscribed)
    if not isinstance(answer, Subscribed):
        why = "does not answer" if answer is None else answer.reason or "closed the connection"
        text = f"{where} {why} after a subscription to {', '.join(filters)}"
        return failure("subscribe", text, ExitCode.TEMPORARY, fix), frozenset()
    refused = dict(answer.refused)
    readable = frozenset(profile.filters) - refused.keys()
    named = [f"{topic} ({explain_refused_message(refused[topic])})" for topic in filters if topic in refused]
    if named:
        return failure("subscribe", f"{where} refuses {', '.join(named)}", ExitCode.TEMPORARY, fix), readable
    text = f"{where} accepts subscriptions to {', '.join(filters) or 'its own messages'}"
    return good("subscribe", text), readable


def _publish(
    profile: ConnectionProfile, options: ConnectOptions, where: str, each: _Message, *, readable: bool
) -> Finding:
    """Publish one message on a connection of its own, because the broker may close it."""
    answer = back = None
    with Session(profile, options) as session:
        accepted = session.wait_for(Connected)
        if not isinstance(accepted, Connected):
            return failure("publish", f"{where} refuses a second login", ExitCode.TEMPORARY)
        most = accepted.limits.max_bytes
        if most is not None and len(each.text) >= most:
            return _too_large(where, f"accepts at most {most:,} bytes per message")
        if options.subscribe:
            session.wait_for(Subscribed)
        number = session.connection.publish(each.topic, each.text, qos=each.qos, retain=each.retain)
        answer = session.wait_for(Acknowledged, packet_id=number)
        if readable and isinstance(answer, Acknowledged) and answer.code < REFUSED:
            back = session.wait_for(Received, topic=each.topic, retained=False)
        ended = session.ended
    if ended is None and isinstance(answer, Acknowledged):
        certain = options.protocol == MQTT_5 and each.qos > 0
        return _judge(profile, where, each, answer, back=back is not None, missing=readable and not certain)
    why = "does not answer" if ended is None or ended.reason is None else ended.reason
    if len(each.text) == _LARGE:
        return _too_large(where, f"{why} after a message of {_LARGE:,} bytes")
    return failure("publish", f"{where} {why} after {each.named}", ExitCode.TEMPORARY, _fix(profile, each))


def _judge(
    profile: ConnectionProfile, where: str, each: _Message, answer: Acknowledged, *, back: bool, missing: bool
) -> Finding:
    """Check an acknowledged message: whether it came back, and should have."""
    if answer.code >= REFUSED:
        why = explain_refused_message(answer.code)
        return failure(
            "publish", f"{where} refuses {each.named}: {why}", ExitCode.TEMPORARY, _fix(profile, each)
        )
    if back:
        return good("publish", f"{where} accepted and delivered {each.named}")
    if len(each.text) == _LARGE:
        text = f"acknowledged a message of {_LARGE:,} bytes but did not deliver it"
        return _too_large(where, text) if missing else good("publish", f"{where} accepted {each.named}")
    if missing:
        text = (
            f"{where} acknowledged {each.named} but did not deliver it: no permission to write or to read it"
        )
        return failure("publish", text, ExitCode.TEMPORARY, _fix(profile, each))
    fix = "fine if other clients receive it: then only this user cannot read it"
    return warning("publish", f"{where} accepted {each.named}, which did not come back", fix)


def _fix(profile: ConnectionProfile, each: _Message) -> str:
    below = each.topic.partition("/doctor")[0].removesuffix("/config")
    return f"allow {_who(profile)} to write {below}/# in the access list"


def _too_large(where: str, text: str) -> Finding:
    fix = "raise its limit (mosquitto: max_packet_size); otherwise it may refuse the discovery messages"
    return warning("publish", f"{where} {text}", fix)


def _who(profile: ConnectionProfile) -> str:
    return profile.config.username or "anonymous"
