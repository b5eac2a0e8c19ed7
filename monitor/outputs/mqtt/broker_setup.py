"""Broker setup: the parts of the publisher that depend on the MQTT settings, rebuilt when these change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from monitor.config import MqttConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.overrides import MOST_LABELS
from monitor.outputs.mqtt.connection import Connection, ConnectionProfile
from monitor.outputs.mqtt.delivery import Delivery
from monitor.outputs.mqtt.discovery_sync import DiscoverySync
from monitor.outputs.mqtt.negotiation import Negotiation
from monitor.outputs.mqtt.paho_client import MAX_IN_FLIGHT
from monitor.outputs.mqtt.session import MqttSession
from monitor.outputs.mqtt.subscriber import MqttSubscriber
from monitor.outputs.mqtt.tls import broker_address, tls_context
from monitor.outputs.mqtt.topics import Topics
from monitor.system.wall_clock import WallClock


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherOptions:
    """Options of the publisher that stay for the whole run."""

    node: str
    """Name of this monitor."""
    model: str
    """Name of the checkpoint."""
    page: str | None = None
    """URL of the web page, for Home Assistant."""
    queue_file: Path | None = None
    """File of events that wait for the broker, also across restarts; None: memory only.

    ``announced.json`` beside it records what the broker retains."""
    clock: WallClock | None = None
    """Decides whether the time of day is reliable enough to drop events by age; None: it is."""
    follow: bool = False
    """Whether the node takes its labels from the watchlist of the fleet."""
    drain_seconds: float = 5.0
    """Longest time from `MqttPublisher.close` until `MqttPublisher.run` returns."""


def make_discovery(
    config: MqttConfig, options: PublisherOptions, active_labels: ActiveLabels
) -> DiscoverySync:
    """Make the description of the node for Home Assistant."""
    return DiscoverySync(
        config,
        Topics(config.base_topic, options.node),
        labels=active_labels.by_source,
        model=options.model,
        path=None if options.queue_file is None else options.queue_file.with_name("announced.json"),
        page=options.page,
    )


def make_session(
    config: MqttConfig,
    options: PublisherOptions,
    password: str | None,
    *,
    sources: tuple[str, ...],
    subscriber: MqttSubscriber,
    discovery: DiscoverySync,
) -> MqttSession:
    """Make the session with the broker; raises as `broker_address` and `tls_context`."""
    topics = Topics(config.base_topic, options.node)
    address = broker_address(config)
    retained = 8 * (len(sources) + 1) * (MOST_LABELS + 1)
    profile = ConnectionProfile(
        config=config,
        client_id=config.client_id or f"clap-monitor-{options.node}",
        password=password,
        tls=tls_context(config),
        will_topic=topics.status(),
        max_queued=4 * MAX_IN_FLIGHT + retained + 2 * discovery.max_messages,
        filters=subscriber.filters(),
        # Where MQTT cannot report a refused message, the delivery of these is checked.
        own_topics=frozenset({topics.status(), *map(topics.event, sources)}),
    )
    return MqttSession(
        partial(Connection, profile),
        Delivery(address, config.keepalive_seconds),
        address=address,
        client_id=profile.client_id,
        receive=subscriber.receive,
        negotiation=Negotiation(config.protocol),
    )
