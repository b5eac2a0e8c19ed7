"""Discovery payload split into messages that no broker refuses for their size; pure functions.

Brokers limit the size of a message (AWS to 128 kB), so a large device is described under several topics.  A
component stays in the message that described it first as long as there is room, so nothing moves when labels
are added or removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.outputs.payload import as_json

MAX_BYTES = 98_000
"""Size of one description in UTF-8; with its topic it stays below 100 kB."""

FULL_BYTES = 80_000
"""Size from which a description gets no further component; the rest is room for longer names."""

_PART = "_PART_"
"""In capitals, which no identifier of a node has."""


def part_topic(prefix: str, device: str, number: int) -> str:
    """Return the topic of one description of a device; the first, number 0, has no number."""
    return f"{prefix}/device/{device}{f'{_PART}{number}' if number else ''}/config"


def device_of(topic: str) -> str:
    """Return the identifier of the device of a `part_topic`."""
    return topic.split("/")[-2].partition(_PART)[0]


def split_payload(
    payload: Mapping[str, Any], prefix: str, device: str, before: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """Split a discovery payload into descriptions, by the `part_topic` of each.

    ``before`` has the components described so far, by topic: each stays there if there is room.
    """
    components = payload["cmps"]
    empty = _bytes({**payload, "cmps": {}})
    sizes = {key: _bytes({key: component}) for key, component in components.items()}
    ours = [topic for topic in before if device_of(topic) == device]
    known = sorted(topic for topic in ours if topic.startswith(f"{prefix}/device/"))
    numbered = [part_topic(prefix, device, number) for number in range(len(components) + 1)]
    topics = list(dict.fromkeys([numbered[0], *known, *numbered]))
    place = {key: topic for topic in known for key in before[topic] if key in components}
    parts: dict[str, set[str]] = {}
    used = dict.fromkeys(topics, empty)
    for key in [*place, *(key for key in components if key not in place)]:
        topic = place.get(key)
        if topic is None or used[topic] + sizes[key] > MAX_BYTES:
            # A component that is too large even alone gets its own message: only that one may be refused.
            topic = next(t for t in topics if used[t] == empty or used[t] + sizes[key] <= FULL_BYTES)
        used[topic] += sizes[key]
        parts.setdefault(topic, set()).add(key)
    return {
        topic: {**payload, "cmps": {key: components[key] for key in components if key in parts[topic]}}
        for topic in topics
        if topic in parts
    }


def _bytes(payload: Mapping[str, object]) -> int:
    """Return the size of a payload; text that is not valid Unicode is refused later, by the connection."""
    return len(as_json(payload).encode(errors="surrogatepass"))
