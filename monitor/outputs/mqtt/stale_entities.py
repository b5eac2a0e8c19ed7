"""Stale entities: components no longer described that Home Assistant may still show; pure functions.

Home Assistant removes an entity only while it runs: it must know the component and then receive its platform
alone.  A component left out of a description while Home Assistant was down stays in its registry.  So a stale
component is described once more, as briefly as is accepted, and then removed.  Each has messages of its own
because Home Assistant drops the rest of a message at the first component that it is still working on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.outputs.mqtt.discovery_parts import device_of
from monitor.outputs.mqtt.discovery_record import Components

MAX_STALE = 2000
"""Stale components that wait for Home Assistant; beyond it, the oldest are forgotten."""

_GONE = "clap-monitor/gone"
_OPTIONS: dict[str, dict[str, object]] = {
    "device_automation": {"atype": "trigger", "t": _GONE, "type": "gone"},
    "event": {"stat_t": _GONE, "evt_typ": ["gone"]},
    "number": {"stat_t": _GONE, "cmd_t": _GONE},
    "switch": {"stat_t": _GONE, "cmd_t": _GONE},
}


def merged(before: Components, now: Components) -> dict[str, dict[str, str]]:
    """Return the components of both."""
    return {topic: {**before.get(topic, {}), **now.get(topic, {})} for topic in {**before, **now}}


def without(before: Components, now: Components) -> dict[str, dict[str, str]]:
    """Return the components of ``before`` that no topic of the same device describes now."""
    known = {(device_of(topic), key) for topic in now for key in now[topic]}
    left = {
        topic: {key: before[topic][key] for key in before[topic] if (device_of(topic), key) not in known}
        for topic in before
    }
    return {topic: components for topic, components in left.items() if components}


def newest(stale: Components) -> dict[str, dict[str, str]]:
    """Return the newest `MAX_STALE` components."""
    every = [(topic, key) for topic in stale for key in stale[topic]][-MAX_STALE:]
    kept: dict[str, dict[str, str]] = {}
    for topic, key in every:
        kept.setdefault(topic, {})[key] = stale[topic][key]
    return kept


def removal_messages(
    stale: Components, origin: Mapping[str, object]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Describe each component once more and remove it, with the ``origin`` of a description.

    Yields topics and payloads in the order in which they must be sent; none of them may be retained.
    """
    for topic, components in stale.items():
        device = device_of(topic)
        root: dict[str, object] = {"dev": {"ids": [device]}, "o": origin, "avty": [{"t": _GONE}]}
        for key, platform in components.items():
            options = {"p": platform, **_OPTIONS.get(platform, {"stat_t": _GONE})}
            if platform == "device_automation":
                options["stype"] = key
            else:
                options["unique_id"] = unique_id(device, key)
            yield topic, {**root, "cmps": {key: options}}
            yield topic, {**root, "cmps": {key: {"p": platform}}}


def unique_id(device: str, key: str) -> str:
    """Return the id of an entity, which stays when a user renames the entity."""
    return f"{device}_NODE_{key}"
