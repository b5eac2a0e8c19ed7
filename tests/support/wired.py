"""Reception, requests and control as the daemon wires them, without a broker and a model."""

import threading
import time

import numpy as np

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.command_queue import CommandQueue
from monitor.outputs.mqtt.connection_events import Received
from monitor.outputs.mqtt.paho_client import MAX_CONTENT_BYTES
from monitor.outputs.mqtt.subscriber import MqttSubscriber
from monitor.outputs.mqtt.topics import Topics
from tests.support.broker import PATIENCE
from tests.support.engines import control_of

TOPICS = Topics("home", "attic")
NODE = "home/attic"
LABELS = (
    LabelConfig(id="dog", prompts=("a dog barking",)),
    LabelConfig(id="cat", prompts=("a cat meowing",)),
)


def embed(sentences):
    """Embed each sentence as a unit vector of its own, as far as there is room."""
    rows = np.zeros((len(sentences), 16), np.float32)
    for row, text in zip(rows, sentences, strict=True):
        row[sum(text.encode()) % 16] = 1
    return rows


class Wired:
    """Reception, requests and control as the daemon wires them; a context manager.

    Parameters
    ----------
    state : Path
        Directory for what is kept.
    reread : callable or None
        Reads the configuration again.
    """

    def __init__(self, state, reread=None):
        self.config = Config(
            sources=tuple(SourceConfig(name=name, kind="microphone") for name in ("porch", "hall")),
            labels=LABELS,
        )
        self.control = control_of(self.config, embed, state=state, reread=reread or (lambda: self.config))
        self.refused = []
        self._settled = 0
        self.requests = CommandQueue(self.control, lambda *words: self.refused.append(words))
        self.subscriber = MqttSubscriber(TOPICS, birth=None, commands=True, on_command=self.requests.command)
        self.trouble = None
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self.requests.run()
        except BaseException as error:
            self.trouble = error
            raise

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.requests.close()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def say(self, topic, content):
        """Say something as the connection to the broker hands it on."""
        self.subscriber.receive(
            Received(topic, content[:MAX_CONTENT_BYTES].decode(errors="replace"), retained=False)
        )

    def settle(self):
        """Wait until everything that was said is done."""
        deadline = time.monotonic() + PATIENCE
        self._settled += 1
        # The last of all that waits, and always something that can be done.
        name = f"settled {self._settled}"
        self.say(
            f"{NODE}/labels/set", b'{"id": "settled", "prompts": ["rain"], "name": "%s"}' % name.encode()
        )
        while name not in {label.name for label in self.control.active_labels.labels}:
            assert self._thread.is_alive(), self.trouble
            assert time.monotonic() < deadline
            time.sleep(0.001)
