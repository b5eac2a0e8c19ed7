"""Topic groups: topics whose newest values alone count, published when they change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from monitor.outputs.mqtt.topics import Topics


class Changes:
    """Names of values that changed; added by any thread, taken by one."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = dict.fromkeys(names)

    def add(self, *names: str) -> None:
        """Add names, after their values have changed."""
        for name in names:
            self._names[name] = None

    def take(self) -> Iterator[str]:
        """Yield each name once, in the order of their first change; read its value only then."""
        for name in tuple(self._names):
            del self._names[name]
            yield name


class TopicGroup:
    """Values set by any thread, and published by the publisher's thread with `MqttSession.publish`."""

    def __init__(self, topics: Topics, publish: Callable[..., None]) -> None:
        self._topics, self._publish = topics, publish
        self._published: dict[str, str] = {}
        """Newest text of each topic in `_retain_change`."""

    def use_topics(self, topics: Topics) -> None:
        """Publish under other topics from now on."""
        self._topics = topics

    def publish_changes(self) -> None:
        """Publish values that changed."""
        raise NotImplementedError

    def republish(self) -> None:
        """Publish everything, to a broker or a Home Assistant that may have lost it."""
        self._published.clear()
        self.publish_changes()

    def _retain(self, topic: str, text: str) -> None:
        self._publish(topic, text, qos=1, retain=True)

    def _retain_change(self, topic: str, text: str) -> None:
        if self._published.get(topic) != text:
            self._published[topic] = text
            self._retain(topic, text)
