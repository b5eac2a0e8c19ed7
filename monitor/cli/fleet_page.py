"""Page of a fleet, served by `fleet --web` until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING

from monitor.types import ConfigError

if TYPE_CHECKING:
    from monitor.config import Config, MqttConfig


def serve(config: Config, mqtt: MqttConfig) -> None:
    """Serve the nodes on a broker as a page, with the access rules of ``web`` in the configuration.

    Raises
    ------
    MonitorError
        The page cannot be served, or the broker cannot be reached.
    """
    if any(find_spec(name) is None for name in ("fastapi", "uvicorn")):
        raise ConfigError("--web: the page needs more packages: pip install 'clap-monitor[web]'")
    from dataclasses import asdict

    from monitor.config import read_listen_token, read_token
    from monitor.fleet.broker_client import BrokerClient
    from monitor.fleet.event_feed import event_filter
    from monitor.fleet.nodes import ENTITIES, Nodes, summary_of
    from monitor.outputs.web.fleet_app import FleetContext, fleet_application
    from monitor.outputs.web.server import Web
    from monitor.system.signals import handled

    nodes = Nodes(mqtt.base_topic)
    page = Web(config.web, read_token(config.web), read_listen_token(config.web))

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        page.close()

    filters = (*Nodes.filters(mqtt.base_topic), event_filter(mqtt.base_topic))
    with BrokerClient(mqtt, filters, nodes.receive) as client:
        client.wait_retained()

        def summary() -> dict[str, object]:
            counts = asdict(summary_of(nodes.states()))
            return {**counts, "most_entities": ENTITIES, "trouble": client.trouble}

        context = FleetContext(
            access=page.access,
            faults=page.faults,
            rows=lambda: [state.document() for state in nodes.states()],
            summary=summary,
            prefix=page.prefix,
        )
        print(f"the fleet is at {page.url}", file=sys.stderr, flush=True)
        with handled({signal.SIGINT: on_signal, signal.SIGTERM: on_signal}):
            page.serve(fleet_application(context))
