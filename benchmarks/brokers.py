"""Brokers: what they take and say, and whether the monitor copes.  Prints a table; exit 1 if it does not.

Each broker is a mosquitto of any version, or a command with ``{port}`` in it that starts another one there::

    python -m benchmarks.brokers mosquitto /opt/mosquitto-2.1/mosquitto "mqttools broker --port {port}"

With every broker, in each version of MQTT that it speaks: an event, the description for Home Assistant, a
command; with a mosquitto also an event that its access list denies, and a limit of size.
"""

from __future__ import annotations

import argparse
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monitor.outputs.mqtt import delivery_check
from monitor.outputs.mqtt.publisher import MqttPublisher
from tests.support.broker import Broker, Subscriber, free_port
from tests.support.mqtt_publisher import CONFIG, MIC, NODE, make, running, started

SECONDS = 20.0
EVENT = f"{MIC}/event"
ACCESS = f"topic readwrite #\ntopic deny {EVENT}\n"
VERSIONS = ("5", "3.1.1")


def main() -> int:
    """Try every broker, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("brokers", nargs="+")
    delivery_check.TIMEOUT_SECONDS = 3.0
    rows = [row for each in parser.parse_args().brokers for row in _try(each)]
    head = ("broker", "MQTT", "event", "description", "command", "denied event", "limit of 3000 bytes")
    for row in (head, *rows):
        print("| " + " | ".join(row) + " |")
    return 0 if all("NO" not in row for row in rows) else 1


def _try(command: str) -> Iterator[tuple[str, ...]]:
    is_mosquitto = "{port}" not in command
    for protocol in VERSIONS:
        with tempfile.TemporaryDirectory() as directory, _started(command, Path(directory)) as broker:
            if not _speaks(broker, protocol):
                yield (_name(command), protocol, *["not spoken"] * 3, "-", "-")
                continue
            basics = _basics(broker, protocol)
        more = ("-", "-")
        if is_mosquitto:
            more = (_denied(command, protocol), _limited(command, protocol))
        yield (_name(command), protocol, *basics, *more)


def _basics(broker: Any, protocol: str) -> tuple[str, str, str]:
    commands: list[object] = []
    mqtt = make(broker.port, protocol=protocol, on_command=lambda *words: commands.append(words))
    with Subscriber(broker, "#") as home, running(mqtt):
        _within(lambda: mqtt.status.connected)
        mqtt.put(started())
        event = _within(lambda: home.messages(EVENT) and mqtt.status.published == 1)
        described = _within(lambda: home.messages(CONFIG))
        home._client.publish(f"{NODE}/armed/set", "OFF", qos=1)  # noqa: SLF001 - as the tests do
        commanded = _within(lambda: commands)
    return _word(event), _word(described), _word(commanded)


def _denied(command: str, protocol: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        users = {"monitor": "secret"}
        broker = Broker(Path(directory), users=users, access=f"user monitor\n{ACCESS}", program=command)
        config = {"username": "monitor", "password": "secret", "protocol": protocol}
        with broker, running(make(broker.port, drain_seconds=0.5, **config)) as mqtt:
            mqtt.put(started())
            _within(lambda: EVENT in " ".join(mqtt.status.problems))
            return _kept(mqtt, EVENT)


def _limited(command: str, protocol: str) -> str:
    with tempfile.TemporaryDirectory() as directory:
        broker = Broker(Path(directory), options=["max_packet_size 3000"], program=command)
        with broker, Subscriber(broker, EVENT) as home, running(make(broker.port, protocol=protocol)) as mqtt:
            mqtt.put(started())
            named = _within(lambda: CONFIG in " ".join(mqtt.status.problems))
            event = _within(lambda: home.messages(EVENT))
    return "named, events go on" if named and event else "NO"


def _kept(mqtt: MqttPublisher, topic: str) -> str:
    if topic not in " ".join(mqtt.status.problems):
        return "NO"
    return "named, the event waits" if mqtt.status.waiting else "named, for it does not come back"


def _speaks(broker: Any, protocol: str) -> bool:
    with running(make(broker.port, protocol=protocol, drain_seconds=0.5)) as mqtt:
        return bool(_within(lambda: mqtt.status.connected, 5.0))


class _Other:
    host, ca_file = "127.0.0.1", None

    def __init__(self, port: int) -> None:
        self.port = port


@contextmanager
def _started(command: str, directory: Path) -> Iterator[Any]:
    if "{port}" not in command:
        with Broker(directory, program=command) as broker:
            yield broker
        return
    port = free_port()
    words = [word.replace("{port}", str(port)) for word in shlex.split(command)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=directory)
    try:
        _within(lambda: _listens(port))
        yield _Other(port)
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _within(condition: Callable[[], object], seconds: float = SECONDS) -> object:
    until = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < until:
        threading.Event().wait(0.02)
    return found


def _word(good: object) -> str:
    return "yes" if good else "NO"


def _name(command: str) -> str:
    if "{port}" in command:
        return Path(shlex.split(command)[0]).name
    said = subprocess.run([command, "-h"], capture_output=True, text=True, check=False)
    return (said.stdout + said.stderr).splitlines()[0].replace(" version", "")


if __name__ == "__main__":
    sys.exit(main())
