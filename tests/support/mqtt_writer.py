"""Writer of made-up events through `MqttPublisher` and its queue file, until standard input ends.

It says on standard output what it does: ``put NUMBER EVENT PHASE`` before each start and end, and
``written NUMBER`` for the newest that is in the journal.

Usage: python -m tests.support.mqtt_writer PORT JOURNAL LIFE
"""

import itertools
import random
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from monitor.config import LabelConfig, MqttConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.publisher import MqttPublisher
from monitor.types import Event

LABELS = ("glass", "dog")
_numbers = itertools.count(1)


def say(*words):
    print(*words, flush=True)  # noqa: T201 - this is how its parent knows


def start(life, label):
    number = next(_numbers)
    return Event(
        id=f"{life:06d}{number:020d}",
        source="mic0",
        label=label,
        start=number,
        stop=None,
        started_at=time.time(),
        ended_at=None,
        score=0.5,
        peak=0.5,
        windows=2,
        level_dbfs=-20.0,
        uncertainty_seconds=1.0,
    )


def end(event):
    return replace(event, stop=event.start + 1, ended_at=time.time(), reason="quiet")


def talk(mqtt, life, over):
    """Start and end events of all labels, one in another, until it is over; end those that last."""
    chance = random.Random(life)
    lasting = {}
    numbers = itertools.count(1)

    def put(event):
        phase = "start" if event.ended_at is None else "end"
        say("put", next(numbers), event.id, phase)
        mqtt.put(event)
        say("written", mqtt._durable_queue.written)

    while not over.is_set():
        label = chance.choice(LABELS)
        if label in lasting:
            put(end(lasting.pop(label)))
        else:
            lasting[label] = start(life, label)
            put(lasting[label])
        time.sleep(chance.uniform(0, 0.01))
    for event in lasting.values():
        put(end(event))


def main(port, queue_file, life):
    mqtt = MqttPublisher(
        MqttConfig(host="127.0.0.1", port=port, discovery=False),  # with it, live events pass late ones
        node="home",
        active_labels=ActiveLabels(
            tuple(LabelConfig(id=label, prompts=(label,)) for label in LABELS), ("mic0",)
        ),
        model="none",
        queue_file=queue_file,
    )
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    thread = threading.Thread(target=mqtt.run)
    thread.start()
    talk(mqtt, life, over)
    while mqtt.waiting:
        time.sleep(0.01)
    mqtt.close()
    thread.join()
    say("written", mqtt._durable_queue.written)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
