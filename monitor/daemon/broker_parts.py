"""Broker parts: the publisher, and the queue of commands that it feeds and that answers through it."""

from __future__ import annotations

from monitor.config import Config
from monitor.daemon.command_queue import CommandQueue
from monitor.daemon.http_servers import page_url
from monitor.detection.control import Control
from monitor.fleet.follower import Follower
from monitor.outputs.mqtt.broker_setup import PublisherOptions
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.system.wall_clock import WallClock


def broker_parts(
    config: Config,
    control: Control,
    follower: Follower,
    *,
    model: str,
    password: str | None,
    clock: WallClock,
) -> tuple[CommandQueue, MqttPublisher | None]:
    """Return the queue of commands, and the publisher if there is a broker.

    Raises
    ------
    ConfigError
        The host name or a file of the broker's encryption cannot be used.
    """

    def refuse(topic: str, why: str) -> None:
        if mqtt is not None:
            mqtt.refuse(topic, why)

    def follow(text: str, control: Control) -> None:
        try:
            follower.receive(text, control)
        finally:
            if mqtt is not None:
                mqtt.on_watchlist()

    mqtt: MqttPublisher | None = None
    commands = CommandQueue(control, refuse, follow)
    if config.mqtt.host is not None:
        options = PublisherOptions(
            node=config.node,
            model=model,
            page=page_url(config.web),
            queue_file=config.state / "outbox.sqlite",
            clock=clock,
            follow=config.fleet.follow,
        )
        labels, on_command = control.active_labels, commands.command
        mqtt = MqttPublisher(config.mqtt, options, labels, password=password, on_command=on_command)
    return commands, mqtt
