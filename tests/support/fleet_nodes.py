"""Nodes of a fleet as a broker tells of them, without monitors."""

import json

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.node_info import info_payload
from monitor.system.clock_sync import ClockSync
from tests.support.broker import PATIENCE
from tests.support.events import payload
from tests.support.snapshots import NOW, snapshot

CLOCK = ClockSync(synchronised=True, error_seconds=0.004)


def info(*, at=NOW, entities=12, clock=CLOCK, **changes):
    """Return what a node publishes of itself."""
    return info_payload(snapshot(**changes), clock, at) | {"entities": entities}


def told(topic, content, *, retained=True):
    """Return a message that came from the broker."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Received(f"clap-monitor/{topic}", text, retained)


def event(node="hall", label="dog", *, source="porch", **fields):
    """Return an event as a node publishes it."""
    known = {"latency_seconds": 0.5, "late": False}
    return payload(label, source=source) | known | {"node": node} | fields


class Speaker:
    """Client that publishes what it is told to; a context manager."""

    def __init__(self, broker, *, username=None, password=None):
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(username, password)
        if broker.ca_file is not None:
            self._client.tls_set(broker.ca_file)
        self._client.connect(broker.host, broker.port)

    def __enter__(self):
        self._client.loop_start()
        return self

    def __exit__(self, *_):
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic, content, *, retain=False):
        text = content if isinstance(content, str) else json.dumps(content)
        self._client.publish(f"clap-monitor/{topic}", text, qos=1, retain=retain).wait_for_publish(PATIENCE)

    def introduce(self, node, *, status="online", **changes):
        """Retain the status and the information of a node."""
        self.say(f"{node}/status", status, retain=True)
        self.say(f"{node}/info", info(**changes), retain=True)
