"""Entities that Home Assistant may still show though they are no longer described; pure functions.

Home Assistant forgets an entity only while it runs: it must know the component, then hear its platform
alone.  What was left out of a description while Home Assistant was down stays in its registry.  So such a
component is described once more, as briefly as is accepted, and then taken back.  Each has messages of its
own: Home Assistant drops the rest of a message at the first component that it is still working on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from monitor.outputs.mqtt.discovery_parts import device_of
from monitor.outputs.mqtt.discovery_record import Components

MOST_GHOSTS = 2000
"""Components that wait for Home Assistant to be taken back; more are forgotten, the oldest first."""

_GONE = "clap-monitor/gone"
_OPTIONS: dict[str, dict[str, object]] = {
    "device_automation": {"atype": "trigger", "t": _GONE, "type": "gone"},
    "event": {"stat_t": _GONE, "evt_typ": ["gone"]},
    "number": {"stat_t": _GONE, "cmd_t": _GONE},
    "switch": {"stat_t": _GONE, "cmd_t": _GONE},
}


def together(before: Components, now: Components) -> dict[str, dict[str, str]]:
    """Return the components of both."""
    return {topic: {**before.get(topic, {}), **now.get(topic, {})} for topic in {**before, **now}}


def without(before: Components, now: Components) -> dict[str, dict[str, str]]:
    """Return the components of ``before`` that no topic of the same device announces now."""
    known = {(device_of(topic), key) for topic in now for key in now[topic]}
    left = {
        topic: {key: before[topic][key] for key in before[topic] if (device_of(topic), key) not in known}
        for topic in before
    }
    return {topic: components for topic, components in left.items() if components}


def newest(ghosts: Components) -> dict[str, dict[str, str]]:
    """Return the newest of too many."""
    every = [(topic, key) for topic in ghosts for key in ghosts[topic]][-MOST_GHOSTS:]
    kept: dict[str, dict[str, str]] = {}
    for topic, key in every:
        kept.setdefault(topic, {})[key] = ghosts[topic][key]
    return kept


def farewells(ghosts: Components, origin: Mapping[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    """Describe each component once more, and take it back; none of these messages may be retained.

    Parameters
    ----------
    ghosts : mapping
    origin : mapping
        Who says it: ``o`` of a description.

    Yields
    ------
    tuple of str and dict
        Topic and payload, in the order in which they must be sent.
    """
    for topic, components in ghosts.items():
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
    """Name by which Home Assistant knows an entity, whatever a person calls it."""
    return f"{device}_NODE_{key}"
