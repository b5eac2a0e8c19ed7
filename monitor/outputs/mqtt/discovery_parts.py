"""Messages that describe one device of Home Assistant, none of them too large for a broker; pure functions.

Brokers limit the size of a message (AWS to 128 kB), so a large house is described in several: the same
device under several topics.  A component stays in the message in which it was announced first, as long as
that has room, so nothing moves when a label comes or goes.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitor.outputs.payload import as_json

MOST_BYTES = 98_000
"""Of one description, in UTF-8: with its topic it stays below 100 kB."""

FULL_BYTES = 80_000
"""A description of this size takes no further component; what is left is room for longer names."""

_PART = "_PART_"
"""In capitals, which no identifier of ours has."""


def part_topic(prefix: str, device: str, number: int) -> str:
    """Topic of a description of a device; the first, number 0, has no number."""
    return f"{prefix}/device/{device}{f'{_PART}{number}' if number else ''}/config"


def device_of(topic: str) -> str:
    """Identifier of the device that is described under a `part_topic`."""
    return topic.split("/")[-2].partition(_PART)[0]


def partition(
    payload: Mapping[str, object], prefix: str, device: str, before: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, object]]:
    """Divide a description into messages.

    Parameters
    ----------
    payload : mapping
        The whole of it; ``cmps`` holds the components by their identifier.
    prefix, device : str
        Of the `part_topic`.
    before : mapping
        Components that have been announced, by topic: each stays where it is if there is room.

    Returns
    -------
    dict
        Descriptions by topic.
    """
    components = payload["cmps"]
    if not isinstance(components, dict):
        raise TypeError(f"cmps is {components!r}")
    empty = _bytes({**payload, "cmps": {}})
    sizes = {key: _bytes({key: component}) for key, component in components.items()}
    known = sorted(
        topic for topic in before if topic.startswith(f"{prefix}/device/") and device_of(topic) == device
    )
    numbered = [part_topic(prefix, device, number) for number in range(len(components) + 1)]
    topics = list(dict.fromkeys([numbered[0], *known, *numbered]))
    place = {key: topic for topic in known for key in before[topic] if key in components}
    parts: dict[str, set[str]] = {}
    used = dict.fromkeys(topics, empty)
    for key in [*place, *(key for key in components if key not in place)]:
        topic = place.get(key)
        if topic is None or used[topic] + sizes[key] > MOST_BYTES:
            # One that is too large even alone has a message of its own: only that one may be refused.
            topic = next(t for t in topics if used[t] == empty or used[t] + sizes[key] <= FULL_BYTES)
        used[topic] += sizes[key]
        parts.setdefault(topic, set()).add(key)
    return {
        topic: {**payload, "cmps": {key: components[key] for key in components if key in parts[topic]}}
        for topic in topics
        if topic in parts
    }


def _bytes(payload: Mapping[str, object]) -> int:
    """Return the size of a payload; one that cannot be sent at all is refused where it is sent."""
    return len(as_json(payload).encode(errors="surrogatepass"))
