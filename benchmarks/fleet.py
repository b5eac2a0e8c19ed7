"""Does one broker carry a fleet?  Prints figures; exit 1 if an event is lost or a node does not answer.

Many simulated nodes, each a real MQTT client with a connection of its own, one real mosquitto, and the real
commands: ``fleet --record`` reads all events, ``fleet --json`` lists the nodes, ``fleet labels push`` changes
the labels of all of them, and one node refuses::

    python -m benchmarks.fleet --nodes 1000 --seconds 60 --rate 200
    python -m benchmarks.fleet --real 120        # what one real monitor sends
"""

from __future__ import annotations

import argparse
import json
import resource
import selectors
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile as sf
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from monitor.cli.console.fleet_view import screen
from monitor.config import Config, LabelConfig, SourceConfig
from monitor.fleet.nodes import Nodes, summary_of
from monitor.fleet.signature import Verify, read_verifier
from monitor.fleet.watchlist import over, parse_watchlist, version_in
from monitor.outputs.mqtt.connection_events import Received
from monitor.types import ConfigError
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import clap_monitor, start
from tests.support.fleet_nodes import event, info
from tests.support.watchlists import write_keys

QUIET = ("log_type none",)
WATCHLIST = """
labels:
  - {id: glass, prompts: [glass breaking, a window shattering]}
  - {id: alarm, prompts: [a smoke alarm beeping], threshold: 0.6}
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Result of a trial."""

    nodes: int
    sent: int
    received: int
    median_ms: float
    p95_ms: float
    longest_ms: float
    listed: int
    list_seconds: float
    draw_ms: float
    accepted: int
    refused: list[str]
    push_seconds: float


class SimulatedNode:
    """Real client that tells what a node tells, and follows the watchlist with the code of a node."""

    def __init__(self, name: str, port: int, verify: Verify, *, picky: bool) -> None:
        self.name, self._verify = name, verify
        source = SourceConfig(name="porch", kind="microphone", labels=("dog",) if picky else None)
        self._config = Config(sources=(source,), labels=(LabelConfig(id="dog", prompts=("a dog",)),))
        self._watchlist: dict[str, object] = {"version": None, "refused_version": None, "reason": None}
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=name)
        self.client.will_set(f"clap-monitor/{name}/status", "offline", qos=1, retain=True)
        self.client.on_connect = self._on_connect
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port, keepalive=120)

    def tell(self) -> None:
        """Publish what the node is, as it does once a minute."""
        self._say("info", json.dumps(info(at=time.time(), watchlist=self._watchlist)), retain=True)

    def hear(self, number: int) -> None:
        """Publish the start of an event."""
        now = time.time()
        happened = event(self.name, event_id=f"{number:026d}", started_at=now - 0.5, published_at=now)
        self._say("porch/event", json.dumps(happened))

    def _say(self, topic: str, text: str, *, retain: bool = False) -> None:
        self.client.publish(f"clap-monitor/{self.name}/{topic}", text, qos=1, retain=retain)

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe("clap-monitor/fleet/labels", qos=1)
        self._say("status", "online", retain=True)
        self.tell()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        text = message.payload.decode()
        try:
            watchlist = parse_watchlist(text, self._verify)
            over(self._config, watchlist.labels)
        except ConfigError as error:
            self._watchlist |= {"refused_version": version_in(text), "reason": str(error)}
        else:
            self._watchlist = {"version": watchlist.version, "refused_version": None, "reason": None}
        self.tell()


class Crowd:
    """All simulated nodes, served by one thread; a context manager."""

    def __init__(self, nodes: int, port: int, public_key: Path) -> None:
        verify = read_verifier(public_key)
        self.nodes = [SimulatedNode(f"n{i:04d}", port, verify, picky=i == nodes // 2) for i in range(nodes)]
        self._wanted: list[tuple[SimulatedNode, int]] = []
        self._lock = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def hear(self, node: SimulatedNode, number: int) -> None:
        """Let a node publish an event; from another thread."""
        with self._lock:
            self._wanted.append((node, number))

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for node in self.nodes:
                channel = node.client.socket()
                assert channel is not None
                selector.register(channel, selectors.EVENT_READ, node)
            looked_at = 0.0
            while not self._ended:
                with self._lock:
                    wanted, self._wanted = self._wanted, []
                for node, number in wanted:
                    node.hear(number)
                    node.client.loop_write()
                for key, _ in selector.select(0.002):
                    key.data.client.loop_read()
                    while key.data.client.want_write():
                        key.data.client.loop_write()
                if time.monotonic() >= looked_at + 1.0:
                    looked_at = time.monotonic()
                    for node in self.nodes:
                        node.client.loop_misc()
                        while node.client.want_write():
                            node.client.loop_write()
        for node in self.nodes:
            node.client.disconnect()
            node.client.loop_write()


def trial(nodes: int, seconds: float, rate: float, directory: Path) -> Figures:
    """Run a fleet for some seconds, with so many events a second; return what came of it."""
    private, public = write_keys(directory)
    (directory / "watchlist.yaml").write_text(WATCHLIST)
    (directory / "broker").mkdir()
    with Broker(directory / "broker", options=QUIET) as broker, Crowd(nodes, broker.port, public) as crowd:
        address = ("--broker", f"127.0.0.1:{broker.port}")
        with Subscriber(broker, "clap-monitor/+/status", qos=0) as statuses:
            eventually(lambda: len({each.topic for each in statuses.messages()}) == nodes)
        reader = start("fleet", *address, "--record", "events.jsonl", cwd=directory)
        eventually((directory / "events.open").exists)
        time.sleep(2.0)  # its subscription
        sent = [0]
        sending = threading.Thread(target=_send, args=(crowd, seconds, rate, sent))
        sending.start()
        list_seconds, listed = _list(address, directory)
        push_seconds, pushed = _push(address, private, directory)
        sending.join()
        time.sleep(1.0)
        draw_ms = _draw(broker)
        reader.send_signal(signal.SIGINT)
        _, errors = reader.communicate(timeout=120)
        assert not errors, errors
    delays = _delays(directory)
    return Figures(
        nodes=nodes,
        sent=sent[0],
        received=len(delays),
        median_ms=round(1000 * statistics.median(delays), 2),
        p95_ms=round(1000 * float(np.percentile(delays, 95)), 2),
        longest_ms=round(1000 * max(delays), 2),
        listed=listed,
        list_seconds=round(list_seconds, 2),
        draw_ms=round(draw_ms, 1),
        accepted=int(pushed.splitlines()[-1].split()[0]),
        refused=[line for line in pushed.splitlines() if ": refused: " in line],
        push_seconds=round(push_seconds, 2),
    )


def _send(crowd: Crowd, seconds: float, rate: float, sent: list[int]) -> None:
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        while sent[0] < passed * rate:
            crowd.hear(crowd.nodes[sent[0] * 7919 % len(crowd.nodes)], sent[0])
            sent[0] += 1
        time.sleep(0.002)


def _list(address: tuple[str, ...], directory: Path) -> tuple[float, int]:
    begun = time.monotonic()
    done = clap_monitor("fleet", *address, "--json", cwd=directory)
    hearing = [each for each in map(json.loads, done.stdout.splitlines()) if each["no_audio"] is None]
    return time.monotonic() - begun, len(hearing)


def _push(address: tuple[str, ...], private: Path, directory: Path) -> tuple[float, str]:
    begun = time.monotonic()
    words = ("fleet", "labels", "push", "watchlist.yaml", *address, "--key", str(private), "--wait", "60")
    done = clap_monitor(*words, cwd=directory)
    return time.monotonic() - begun, done.stdout


def _draw(broker: Broker) -> float:
    """Return the milliseconds that one frame of the table takes, with every node in it."""
    nodes = Nodes("clap-monitor")
    for topic, text in broker.retained().items():
        nodes.receive(Received(topic, text, retained=True))
    with Path("/dev/null").open("w") as nowhere:
        console = Console(file=nowhere, width=160, force_terminal=True)
        begun = time.perf_counter()
        states = nodes.states()
        console.print(screen(states, summary_of(states), None, room=50))
        return 1000 * (time.perf_counter() - begun)


def _delays(directory: Path) -> list[float]:
    found: dict[str, float] = {}
    for path in sorted(directory.glob("events-*.jsonl")):
        for line in path.read_text().splitlines():
            happened = json.loads(line)
            found[happened["event_id"]] = happened["received_at"] - happened["published_at"]
    return list(found.values())


def real(seconds: float, directory: Path) -> dict[str, Any]:
    """Run one real monitor with the default labels in a quiet room; return what it sends in an hour."""
    noise = np.random.default_rng(1).integers(-400, 400, round((seconds + 60) * 8000), np.int16)
    sf.write(directory / "room.wav", noise, 8000)
    (directory / "broker").mkdir()
    with Broker(directory / "broker", options=QUIET) as broker:
        (directory / "monitor.yaml").write_text(
            "sources: [{name: room, kind: file, path: room.wav}]\n"
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
        )
        process = start("run", "--config", "monitor.yaml", cwd=directory)
        with Subscriber(broker, "#") as everything:
            eventually(lambda: everything.texts("clap-monitor/home/room/level"))
            before = len(everything.messages())
            time.sleep(seconds)
            messages = everything.messages()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    first, later = messages[:before], messages[before:]
    per_hour = 3600 / seconds
    sizes = [len(each.topic.encode()) + len(each.text.encode()) for each in later]
    kinds = Counter(each.topic.removeprefix("clap-monitor/home/").split("/")[-1] for each in later)
    return {
        "at the start: messages": len(first),
        "at the start: bytes": sum(len(each.topic) + len(each.text.encode()) for each in first),
        "messages in an hour": round(len(later) * per_hour),
        "bytes in an hour": round(sum(sizes) * per_hour),
        "kinds in an hour": {kind: round(count * per_hour) for kind, count in kinds.items()},
        "bytes of /info": max(
            (len(e.text.encode()) for e in messages if e.topic.endswith("/info")), default=0
        ),
    }


def main() -> int:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second, of all nodes together")
    parser.add_argument(
        "--real", type=float, default=0.0, help="measure one real monitor for so many seconds"
    )
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as directory:
        if options.real:
            print(json.dumps(real(options.real, Path(directory)), indent=1))
            return 0
        figures = trial(options.nodes, options.seconds, options.rate, Path(directory))
    print(json.dumps(asdict(figures), indent=1))
    whole = figures.sent == figures.received and figures.listed == options.nodes
    return 0 if whole and figures.accepted == options.nodes - 1 and len(figures.refused) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
