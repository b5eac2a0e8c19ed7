"""Command over many monitors on one broker: fleet."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.app import AsJson, ConfigFile, fleet_app
from monitor.cli.logs import say
from monitor.cli.options import Overrides, settings_from
from monitor.cli.recordings import as_line
from monitor.types import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from monitor.config import MqttConfig
    from monitor.fleet.event_feed import EventFeed, FleetEvent
    from monitor.fleet.nodes import NodeFilter

_TAKE_SECONDS = 0.2

OtherBroker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST[:PORT]", help="Broker to use instead of the configured one."),
]


@fleet_app.callback(invoke_without_command=True)
def fleet(
    context: typer.Context,
    config: ConfigFile = None,
    broker: OtherBroker = None,
    node: Annotated[str, typer.Option("--node", help="Pattern of the names of nodes, such as hall-*.")] = "*",
    label: Annotated[
        str,
        typer.Option(
            "--label",
            "-l",
            help="Pattern of the label of events; in the table, of the newest event of a node.",
        ),
    ] = "*",
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Only nodes without audio.")] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Print the events of all nodes, as JSON lines, until Ctrl-C.")
    ] = False,
    share: Annotated[
        str | None,
        typer.Option("--share", help="Name of a group of readers: each event goes to one of them."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", help="Write the events to NAME-000001 and so on: NAME.jsonl or NAME.parquet."
        ),
    ] = None,
    group: Annotated[
        float | None,
        typer.Option(
            "--group",
            metavar="SECONDS",
            min=0.0,
            max=60.0,
            help="Print one line for each sound that several nodes detected within this many seconds.",
        ),
    ] = None,
    web: Annotated[
        str | None,
        typer.Option(
            "--web", metavar="[HOST][:PORT]", help="Serve a page with the table. Default: as configured."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show all monitors on the broker: health, version, calibration, clock, labels and newest events.

    On a terminal the table is redrawn until Ctrl-C; in a pipe, and with --json, it is printed once.  With
    --events, --record or --group, events are read until Ctrl-C instead.
    """
    if context.invoked_subcommand is not None:
        return
    mqtt = broker_of(config, broker)
    reads_events = events or record is not None or group is not None
    if share is not None and not reads_events:
        raise typer.BadParameter("--share needs --events or --record")
    if share is not None and group is not None:
        raise typer.BadParameter("--group needs all events: leave --share out")
    with suppress(KeyboardInterrupt):
        if reads_events:
            from monitor.fleet.event_feed import EventFeed, EventFilter

            feed = EventFeed(EventFilter(node, label))
            with ExitStack() as opened:
                outputs = _outputs(opened, record, group, print_events=events)
                _read_events(mqtt, feed, share, lambda batch: [output(batch) for output in outputs])
            _report(feed)
        elif web is not None:
            from monitor.cli.fleet_page import serve

            serve(settings_from(config, Overrides(web=web)), mqtt)
        else:
            from monitor.fleet.nodes import NodeFilter

            _show(mqtt, NodeFilter(node, label, no_audio), as_json=as_json)


def broker_of(config: Path | None, broker: str | None) -> MqttConfig:
    """Return the broker of the configuration, or another one with the other settings of it.

    Raises
    ------
    ConfigError
        The configuration has errors, or the address is none.
    """
    mqtt = settings_from(config, Overrides()).mqtt
    if broker is None:
        return mqtt
    host, _, port = broker.partition(":") if broker.count(":") == 1 else (broker.strip("[]"), "", "")
    if port and not (port.isdecimal() and 0 < int(port) <= 65_535):  # noqa: PLR2004 - ports
        raise ConfigError(f"--broker: {broker!r}: the port is not a number from 1 to 65535")
    return mqtt.model_copy(update={"host": host, "port": int(port) if port else mqtt.port})


def _show(mqtt: MqttConfig, wanted: NodeFilter, *, as_json: bool) -> None:
    from monitor.cli.console.fleet_view import draw
    from monitor.fleet.broker_client import BrokerClient
    from monitor.fleet.event_feed import event_filter
    from monitor.fleet.node_state import NodeState
    from monitor.fleet.nodes import FleetSummary, Nodes, summary_of

    nodes = Nodes(mqtt.base_topic)
    filters = (*Nodes.filters(mqtt.base_topic), event_filter(mqtt.base_topic))
    with BrokerClient(mqtt, filters, nodes.receive) as client:
        client.wait_retained()

        def look() -> tuple[list[NodeState], FleetSummary, str | None]:
            states = nodes.states()
            return [state for state in states if wanted.admits(state)], summary_of(states), client.trouble

        if as_json:
            for state in look()[0]:
                print(as_line(state.document()))
        else:
            draw(look, sys.stdout)


def _outputs(
    opened: ExitStack, record: Path | None, group: float | None, *, print_events: bool
) -> list[Callable[[list[FleetEvent]], None]]:
    """Return what receives events; called again and again, also with none."""
    outputs: list[Callable[[list[FleetEvent]], None]] = []
    if record is not None:
        from monitor.fleet.event_recorder import EventRecorder

        outputs.append(opened.enter_context(EventRecorder(record)).add)
    if group is not None:
        from monitor.fleet.sound_groups import SoundGroups

        groups = SoundGroups(group)

        def print_groups(events: list[FleetEvent]) -> None:
            for event in events:
                groups.add(event)
            _print_lines(groups.take())

        outputs.append(print_groups)
        opened.callback(lambda: _print_lines(groups.take(everything=True)))
    elif print_events:
        outputs.append(_print_lines)
    return outputs


def _print_lines(documents: Sequence[Mapping[str, object]]) -> None:
    for document in documents:
        print(as_line(document))
    sys.stdout.flush()


def _report(feed: EventFeed) -> None:
    if feed.lost or feed.unreadable:
        text = f"{feed.lost} events were lost because they were read too slowly"
        say(f"clap-monitor: {text}; {feed.unreadable} messages were no events", logging.WARNING)


def _read_events(
    mqtt: MqttConfig, feed: EventFeed, share: str | None, deliver: Callable[[list[FleetEvent]], object]
) -> None:
    """Deliver events until Ctrl-C or SIGTERM, and then those on their way; a second Ctrl-C ends at once."""
    from monitor.fleet.broker_client import BrokerClient
    from monitor.fleet.event_feed import event_filter
    from monitor.system.signals import handled

    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with handled({signal.SIGINT: on_signal, signal.SIGTERM: on_signal}):
        with BrokerClient(mqtt, (event_filter(mqtt.base_topic, share),), feed.receive) as client:
            client.wait_connected()
            while not stop.is_set():
                deliver(feed.take(_TAKE_SECONDS))
            client.unsubscribe()
            while (events := feed.take(_TAKE_SECONDS)) or not client.is_quiet:
                deliver(events)
        deliver(feed.take(0.0))  # the connection is closed: nothing more comes
