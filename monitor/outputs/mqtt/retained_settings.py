"""Retained settings: detection armed, thresholds and labels, published when they change."""

from __future__ import annotations

from collections.abc import Callable

from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.topic_group import TopicGroup
from monitor.outputs.mqtt.topics import Topics
from monitor.outputs.payload import as_json


class RetainedSettings(TopicGroup):
    """Publish every change of the settings; used by the publisher's thread."""

    def __init__(self, topics: Topics, active_labels: ActiveLabels, publish: Callable[..., None]) -> None:
        super().__init__(topics, publish)
        self.apply(active_labels)

    def use_topics(self, topics: Topics) -> None:
        """Publish under other topics from now on."""
        super().use_topics(topics)
        self.apply(self._active_labels)

    def apply(self, active_labels: ActiveLabels) -> None:
        """Publish other settings from now on; `DiscoverySync` clears those that no longer exist."""
        self._active_labels = active_labels
        self._payloads = settings_payloads(self._topics, active_labels)
        self._all_published = False
        self._published = {topic: text for topic, text in self._published.items() if topic in self._payloads}

    def publish_changes(self) -> None:
        """Publish settings that differ from what the broker retains."""
        if not self._all_published:
            self._all_published = True
            for topic, text in self._payloads.items():
                self._retain_change(topic, text)

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        self._all_published = False
        super().republish()


def settings_payloads(topics: Topics, active_labels: ActiveLabels) -> dict[str, str]:
    """Return the retained text of each settings topic."""
    keys = {"id", "enabled", "threshold", "prompts", "against"}
    labels = [label.model_dump(include=keys) | {"name": label.title} for label in active_labels.labels]
    payloads = {
        topics.armed(): "ON" if active_labels.armed else "OFF",
        topics.labels(): as_json(labels),
    }
    for source in active_labels.sources:
        for label in active_labels.at(source):
            payloads[topics.threshold(source, label.id)] = f"{label.threshold:g}"
    return payloads
