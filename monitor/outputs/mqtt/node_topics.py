"""Node topics: everything that a node publishes besides its events; of each topic only the newest counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monitor.audio.source_status import Health
from monitor.detection.active_labels import ActiveLabels
from monitor.outputs.mqtt.health_topics import HealthTopics
from monitor.outputs.mqtt.node_info import NodeInfo
from monitor.outputs.mqtt.retained_settings import RetainedSettings
from monitor.outputs.mqtt.retained_states import RetainedStates
from monitor.outputs.mqtt.score_topics import ScoreTopics
from monitor.outputs.mqtt.topic_group import TopicGroup
from monitor.outputs.mqtt.topics import Topics


class NodeTopics:
    """All topic groups of a node, published by the publisher's thread.

    ``entities`` returns how many entities of Home Assistant the node has enabled.
    """

    def __init__(
        self,
        topics: Topics,
        active_labels: ActiveLabels,
        publish: Callable[..., None],
        entities: Callable[[], int],
    ) -> None:
        self.states = RetainedStates(topics, active_labels.ids_by_source, publish)
        self.health = HealthTopics(topics, active_labels.sources, publish)
        self.scores = ScoreTopics(topics, publish)
        self.settings = RetainedSettings(topics, active_labels, publish)
        self.info = NodeInfo(topics, publish, entities)
        # The states are last: they end with the node's status, after which everything counts as current.
        self._groups: tuple[TopicGroup, ...] = (
            self.settings,
            self.scores,
            self.health,
            self.info,
            self.states,
        )

    def set_health(self, healths: Mapping[str, Health], snapshot: Callable[[], Mapping[str, Any]]) -> bool:
        """Set the health of the sources, and what the node is; True if there is something to publish."""
        changed = [
            self.states.set_online(source, online=health.online) | self.health.set(source, health)
            for source, health in healths.items()
        ]
        if any(changed):
            self.info.on_change()
        return self.info.refresh(snapshot) or any(changed)

    def publish_changes(self) -> None:
        """Publish values that changed."""
        for group in self._groups:
            group.publish_changes()

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        for group in self._groups:
            group.republish()

    def use_topics(self, topics: Topics) -> None:
        """Publish under other topics from now on."""
        for group in self._groups:
            group.use_topics(topics)

    def due(self) -> float:
        """Return the next monotonic time at which there is something to publish."""
        return min(self.health.due(), self.scores.due())
