"""MQTT publisher with a source `mic0` and two labels, its topics, and events for it."""

import json
import math
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from monitor.audio.source_status import Health
from monitor.config import LabelConfig, MqttConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.broker_setup import PublisherOptions
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.types import Scores
from tests.support.broker import PATIENCE, eventually
from tests.support.events import event
from tests.support.snapshots import snapshot

LABELS = (
    LabelConfig(id="glass", name="Glass breaking", prompts=("the sound of glass shattering",), threshold=0.6),
    LabelConfig(id="dog", prompts=("a dog barks",)),
)
NODE = "clap-monitor/livingroom"
STATUS = f"{NODE}/status"
CONFIG = "homeassistant/device/clap_monitor_livingroom/config"
MIC = f"{NODE}/mic0"
GLASS = f"{MIC}/event/glass"


def started(number=0, *, label="glass", at=1795435203.412):
    return event(label, number=number, source="mic0", at=at)


class DrivenPublisher(MqttPublisher):
    """Publisher driven one value at a time."""

    def put(self, event):
        self.on_event(event, self._active_labels.label(event.source, event.label))

    def set_online(self, name, *, online):
        self.on_health({name: Health(online=online)}, snapshot)

    def set_labels(self, active_labels):
        self.on_labels(active_labels, {})

    def reconfigure(self, config):
        self.apply(SimpleNamespace(mqtt=config))

    def set_level(self, source, dbfs):
        self.on_scores(Scores(source, 0, 8, 2.0, (), np.zeros(0, np.float32), dbfs))


def make(
    port,
    *,
    password=None,
    queue_file=None,
    drain_seconds=5.0,
    labels=LABELS,
    sources=("mic0",),
    on_command=lambda *_: None,
    **config,
):
    return DrivenPublisher(
        MqttConfig(host="127.0.0.1", port=port, **config),
        PublisherOptions(
            node="livingroom", model="starter", queue_file=queue_file, drain_seconds=drain_seconds
        ),
        ActiveLabels(tuple(labels), tuple(sources)),
        password=password,
        on_command=on_command,
    )


@contextmanager
def running(mqtt):
    thread = threading.Thread(target=mqtt.run, name="mqtt")
    thread.start()
    try:
        yield mqtt
    finally:
        mqtt.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@contextmanager
def connected(mqtt):
    with running(mqtt):
        eventually(lambda: mqtt.status.connected)
        yield mqtt


def wait_subscribed(mqtt):
    """Wait for the answer to the subscribe request; a broker killed before seems to refuse the request."""
    eventually(lambda: mqtt.status.connected and mqtt._session.delivery.is_subscribed)


@contextmanager
def held_off(mqtt):
    """Begin no new connection in this block, and one at its end; the old one has ended."""

    def is_held_off():
        mqtt._session._connect_at = math.inf
        return mqtt._session._connection is None

    eventually(is_held_off)
    yield
    mqtt._session.retry_now()
    mqtt._session.wake()


def run_to_the_end(mqtt):
    with running(mqtt):
        pass


def phases(subscriber):
    return [
        (event["event_id"][-1], event["phase"]) for event in map(json.loads, subscriber.texts(f"{MIC}/event"))
    ]
