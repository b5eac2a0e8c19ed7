"""What is set at the moment - listening, thresholds, labels - said to the broker when it changes."""

from __future__ import annotations

from collections.abc import Callable

from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.commands import settings
from monitor.outputs.mqtt.topics import Topics


class RetainedSettings:
    """The echo of every change; used by the one thread that publishes.

    Parameters
    ----------
    publish : callable
        Sends one message: `Link.publish`.
    """

    def __init__(self, topics: Topics, active_labels: ActiveLabels, publish: Callable[..., None]) -> None:
        self._topics = topics
        self._publish = publish
        self._said: dict[str, str] = {}
        self.listen(active_labels)

    def listen(self, active_labels: ActiveLabels) -> None:
        """Say this from now on; what is not set any more is taken back by the `DiscoverySync`."""
        self._wanted = settings(self._topics, active_labels)
        self._said = {topic: text for topic, text in self._said.items() if topic in self._wanted}

    def say(self) -> None:
        """Say what is news to the broker."""
        if self._said == self._wanted:
            return
        for topic, text in self._wanted.items():
            if self._said.get(topic) != text:
                self._publish(topic, text, qos=1, retain=True)
        self._said = dict(self._wanted)

    def say_anew(self) -> None:
        """Say all of it, to a broker that may know nothing."""
        self._said = {}
        self.say()
