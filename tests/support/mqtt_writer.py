"""Writer of made-up events through `MqttPublisher` and its queue file, until standard input ends.

It says on standard output what it does: ``put NUMBER EVENT PHASE`` before each start and end, and
``written NUMBER`` for the newest that is in the queue file.

Usage: python -m tests.support.mqtt_writer PORT JOURNAL LIFE
"""

import itertools
import random
import sys
import threading
import time
from pathlib import Path

from monitor.config import LabelConfig, MqttConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.broker_setup import PublisherOptions
from monitor.outputs.mqtt.publisher import MqttPublisher
from tests.support.events import ended, event

LABELS = ("glass", "dog")
CONFIGS = {label: LabelConfig(id=label, prompts=(label,)) for label in LABELS}
_numbers = itertools.count(1)


def say(*words):
    print(*words, flush=True)  # noqa: T201 - this is how its parent knows


def start(life, label):
    number = next(_numbers)
    return event(label, id=f"{life:06d}{number:020d}", source="mic0", start=number, at=time.time())


def talk(mqtt, life, over):
    """Start and end events of all labels, one in another, until it is over; end those that last."""
    chance = random.Random(life)
    lasting = {}
    numbers = itertools.count(1)

    def put(changed):
        phase = "start" if changed.ended_at is None else "end"
        say("put", next(numbers), changed.id, phase)
        mqtt.on_event(changed, CONFIGS[changed.label])
        say("written", mqtt._events.queue.written)

    while not over.is_set():
        label = chance.choice(LABELS)
        if label in lasting:
            put(ended(lasting.pop(label), ended_at=time.time()))
        else:
            lasting[label] = start(life, label)
            put(lasting[label])
        time.sleep(chance.uniform(0, 0.01))
    for started in lasting.values():
        put(ended(started, ended_at=time.time()))


def main(port, queue_file, life):
    mqtt = MqttPublisher(
        MqttConfig(host="127.0.0.1", port=port, discovery=False),  # with it, live events pass late ones
        PublisherOptions(node="home", model="none", queue_file=queue_file),
        ActiveLabels(tuple(CONFIGS.values()), ("mic0",)),
    )
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    thread = threading.Thread(target=mqtt.run)
    thread.start()
    talk(mqtt, life, over)
    while mqtt.status.waiting:
        time.sleep(0.01)
    mqtt.close()
    thread.join()
    say("written", mqtt._events.queue.written)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
