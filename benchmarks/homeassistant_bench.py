"""Broker, monitor and Home Assistant, each of which can be started again; used by `homeassistant.py`."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.homeassistant_core import HomeAssistant, eventually
from monitor.audio.source_status import Health
from monitor.config import LabelConfig, MqttConfig, UnusualLabel
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.broker_setup import PublisherOptions
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.types import EndReason, Event
from tests.support.broker import Broker
from tests.support.events import ended, event
from tests.support.snapshots import snapshot

ALARM = LabelConfig(id="smoke_alarm", prompts=("a smoke alarm",), device_class="smoke")
CRY = LabelConfig(id="baby_cry", prompts=("a baby cries",))
UNUSUAL = UnusualLabel()
SENSOR, EVENTS = "binary_sensor.home_nursery_smoke_alarm", "event.home_nursery_sound"
_numbers = itertools.count(1)


class Bench:
    """The three, each of which can be ended and started again; the results.

    Parameters
    ----------
    home : HomeAssistant
    directory : Path
        For the broker and the state of the monitor.
    """

    def __init__(self, home: HomeAssistant, directory: Path) -> None:
        self.home, self.directory = home, directory
        self.broker = Broker(directory, sessions=True)
        self.queue_file = directory / "state" / "outbox.sqlite"
        self.node = "home"
        self.labels: tuple[LabelConfig, ...] = (ALARM, CRY)
        self.sources: tuple[str, ...] = ("nursery",)
        self.unusual: tuple[str, ...] = ()
        """Sources of which unusual sounds are reported."""
        self.discovery = True
        self.commands: list[object] = []
        self.mqtt: MqttPublisher | None = None
        self.failed = 0
        self.complaints: list[str] = []

    def start_monitor(self) -> MqttPublisher:
        """Start ours; it hears something from the start."""
        self.mqtt = mqtt = MqttPublisher(
            MqttConfig(host="127.0.0.1", port=self.broker.port, discovery=self.discovery),
            PublisherOptions(
                node=self.node, model="starter", queue_file=self.queue_file, page="http://127.0.0.1:8095/"
            ),
            ActiveLabels(self.labels, self.sources, unusual=self.unusual),
            on_command=lambda _topic, command: self.commands.append(command),
        )
        self._thread = threading.Thread(target=mqtt.run)
        self._thread.start()
        for source in self.sources:
            mqtt.on_health({source: Health(online=True)}, snapshot)
        return mqtt

    def stop_monitor(self) -> None:
        """End ours, politely."""
        if self.mqtt is not None:
            self.mqtt.close()
            self._thread.join()
            self.mqtt = None

    def restart_broker(self, *, erased: bool, away: float = 0.0) -> None:
        """End the broker and start it again, with what it retained or without."""
        self.broker.stop()
        for file in self.directory.glob("mosquitto.db"):
            if erased:
                file.unlink()
        time.sleep(away)
        self.broker.start()

    def sounds(self, label: LabelConfig = ALARM) -> Event:
        """Let a sound begin."""
        assert self.mqtt is not None
        begun: Event = event(label.id, number=time.time_ns(), source=self.sources[0], at=time.time())
        self.mqtt.on_event(begun, label)
        return begun

    def falls_silent(self, begun: Event, reason: EndReason = EndReason.QUIET) -> None:
        """Let a sound end."""
        assert self.mqtt is not None
        self.mqtt.on_event(ended(begun, ended_at=time.time(), reason=reason), self._label(begun))

    @staticmethod
    def _label(event: Event) -> LabelConfig:
        return next(label for label in (ALARM, CRY, UNUSUAL) if label.id == event.label)

    def becomes(self, entity: str, state: str | None, seconds: float = 60.0) -> bool:
        """Wait until an entity has a state."""
        return eventually(lambda: self.home.state(entity) == state, seconds)

    def phases(self, event: Event, entity: str = EVENTS) -> list[str]:
        """What the event entity has said of an event."""
        told = [
            (change["state"], change["attributes"]["phase"])
            for change in self.home.seen(entity)
            if change["attributes"].get("event_id") == event.id
        ]
        return [phase for _at, phase in dict.fromkeys(told)]  # one is shown again when it is back

    def report(self, name: str, *, good: bool, more: object = "") -> None:
        """Print a line of the table."""
        self.failed += not good
        print(f"| {name} | {'yes' if good else 'NO'} | {more} |", flush=True)


@contextmanager
def fresh(bench: Bench) -> Iterator[None]:
    """Begin with a broker, a monitor and a Home Assistant that know nothing of each other."""
    bench.stop_monitor()
    bench.node, bench.labels, bench.sources, bench.discovery = "home", (ALARM, CRY), ("nursery",), True
    bench.unusual = ()
    bench.broker.kill()
    for file in bench.directory.glob("mosquitto.db"):
        file.unlink()
    shutil.rmtree(bench.queue_file.parent, ignore_errors=True)
    bench.broker.start()
    bench.home.use_broker(bench.broker.port)
    bench.home.wait_until_quiet()
    before = bench.home.log.stat().st_size  # to take out the integration makes it complain of itself
    bench.start_monitor()
    assert bench.becomes(SENSOR, "off"), "Home Assistant has not made the device"
    yield
    bench.stop_monitor()
    bench.complaints += bench.home.complaints(before)
