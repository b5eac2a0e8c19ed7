"""Topics of one node below the base topic: state, events, health and commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TRIGGER = "detected"
"""Payload of every trigger."""


FLEET = "fleet"
"""Level below the base topic that belongs to all nodes; no node may have this name."""


def watchlist_topic(base: str) -> str:
    """Return the topic of the labels that all nodes follow; retained."""
    return f"{base}/{FLEET}/labels"


def previous_watchlist_topic(base: str) -> str:
    """Return the topic of the watchlist before the newest, for a rollback; retained."""
    return f"{base}/{FLEET}/labels/previous"


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics that a node publishes and subscribes to."""

    base: str
    node: str

    def status(self) -> str:
        """``online`` or ``offline`` of the node; retained, also its last will."""
        return f"{self.base}/{self.node}/status"

    def source_status(self, source: str) -> str:
        """``online`` or ``offline`` of a source; retained."""
        return f"{self.base}/{self.node}/{source}/status"

    def event(self, source: str) -> str:
        """Start and end of every event, as JSON; never retained."""
        return f"{self.base}/{self.node}/{source}/event"

    def state(self, source: str, label: str) -> str:
        """ON during an event of the label, else OFF; retained."""
        return f"{self.event(source)}/{label}/state"

    def attributes(self, source: str, label: str) -> str:
        """JSON of the newest event of the label; retained."""
        return f"{self.event(source)}/{label}/attributes"

    def level(self, source: str) -> str:
        """JSON with the level, at most once a second; not retained."""
        return f"{self.base}/{self.node}/{source}/level"

    def trigger(self, source: str, label: str) -> str:
        """`TRIGGER` when an event of the label starts; never retained, never sent late."""
        return f"{self.event(source)}/{label}/trigger"

    def source_health(self, source: str) -> str:
        """JSON with the health of a source; retained."""
        return f"{self.base}/{self.node}/{source}/health"

    def listeners(self, source: str) -> str:
        """Number of those who hear a source live; retained."""
        return f"{self.base}/{self.node}/{source}/listeners"

    def warning(self, source: str) -> str:
        """JSON when a source problem starts and when it ends; never retained."""
        return f"{self.base}/{self.node}/{source}/warning"

    def health(self) -> str:
        """JSON with the health of the connection to the broker; retained."""
        return f"{self.base}/{self.node}/health"

    def info(self) -> str:
        """JSON with what the node is and its state; retained, at least once a minute."""
        return f"{self.base}/{self.node}/info"

    def armed(self) -> str:
        """ON while detection is armed, else OFF; retained."""
        return f"{self.base}/{self.node}/armed/state"

    def armed_command(self) -> str:
        """Command topic that takes ON and OFF."""
        return f"{self.base}/{self.node}/armed/set"

    def threshold(self, source: str, label: str) -> str:
        """Threshold of a label at a source; retained."""
        return f"{self.base}/{self.node}/{source}/threshold/{label}"

    def threshold_command(self, source: str, label: str) -> str:
        """Command topic that takes another threshold."""
        return f"{self.threshold(source, label)}/set"

    def labels(self) -> str:
        """JSON list of all labels; retained."""
        return f"{self.base}/{self.node}/labels"

    def labels_command(self) -> str:
        """Command topic that takes a label to add, change or remove."""
        return f"{self.labels()}/set"

    def refused(self) -> str:
        """JSON with the topic of a refused command and the reason; never retained."""
        return f"{self.base}/{self.node}/refused"

    def score(self, source: str, label: str) -> str:
        """Newest score of a label, when it changes; not retained."""
        return f"{self.base}/{self.node}/{source}/score/{label}"

    def last_event(self, source: str) -> str:
        """JSON of the most recently started event of a source; retained."""
        return f"{self.base}/{self.node}/{source}/last"

    def command_filters(self) -> tuple[str, ...]:
        """Filters that match every command topic."""
        return self.armed_command(), self.threshold_command("+", "+"), self.labels_command()

    def retained(self, labels: Mapping[str, Iterable[str]]) -> set[str]:
        """Topics of all retained messages of the node, given the labels of each source."""
        topics = {self.status(), self.health(), self.info(), self.armed(), self.labels()}
        for source in labels:
            topics |= {self.source_status(source), self.source_health(source), self.last_event(source)}
            topics.add(self.listeners(source))
            for label in labels[source]:
                topics |= {self.state(source, label), self.attributes(source, label)}
                topics.add(self.threshold(source, label))
        return topics
