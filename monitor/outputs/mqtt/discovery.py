"""Discovery payload: describes a node as one device of Home Assistant; pure functions.

Device-based discovery: one payload holds every entity, with the abbreviated keys of Home Assistant's
documentation.  Sources and labels are lower case, so the words in capitals in component ids keep any two
components apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from monitor import __version__
from monitor.config import LabelConfig, UnusualLabel
from monitor.outputs.mqtt.discovery_parts import part_topic
from monitor.outputs.mqtt.stale_entities import unique_id
from monitor.outputs.mqtt.topics import TRIGGER, Topics

LEVEL_EXPIRES_SECONDS = 120
"""Age at which a level or score expires; the longest hop is 60 s."""

LONGEST_STATE = 255
"""Characters that Home Assistant accepts as a state."""

ORIGIN = {"name": "clap-monitor", "sw": __version__}
"""Origin of the description."""

Component = dict[str, object]


def discovery_topic(prefix: str, node: str) -> str:
    """Return the topic of the description of a node; `discovery_parts` adds more for a large one."""
    return part_topic(prefix, device_id(node), 0)


def birth_topic(prefix: str) -> str:
    """Return the topic under which Home Assistant publishes ``online`` when it starts."""
    return f"{prefix}/status"


def discovery_payload(
    topics: Topics,
    *,
    labels: Mapping[str, Sequence[LabelConfig]],
    model: str,
    commands: bool = True,
    page: str | None = None,
    retired: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Describe a node and everything it publishes, ready for JSON; ``cmps`` has the components by identifier.

    Parameters
    ----------
    topics : Topics
    labels : mapping of str to sequence of LabelConfig
        By source.  With several sources, entity names end with the source and begin with the label because
        phones cut names at the end.
    model : str
    commands : bool
        Whether the node accepts commands; if not, there are no switches and numbers.
    page : str or None
        URL of the web page for other machines.
    retired : mapping of str to iterable of str
        By source, removed labels of which events may still arrive: Home Assistant ignores an event of an
        unknown type.
    """
    components: dict[str, Component] = {"LATE": _late(topics)}
    if commands:
        components["ARMED"] = armed_switch(topics)
    for source in labels:
        suffix = f", {source}" if len(labels) > 1 else ""
        types = list(dict.fromkeys([*(label.id for label in labels[source]), *retired.get(source, ())]))
        components |= _of_source(topics, source, suffix, types)
        for label in labels[source]:
            components |= _of_label(topics, source, suffix, label)
            if isinstance(label, UnusualLabel):
                continue  # has no score, and the memory sets its threshold
            components[f"{source}_SCORE_{label.id}"] = _score(topics, source, suffix, label)
            if commands:
                components[f"{source}_THRESHOLD_{label.id}"] = _threshold(topics, source, suffix, label)
    return node_payload(topics, components, model=model, page=page)


def node_payload(
    topics: Topics, components: dict[str, Component], *, model: str, page: str | None
) -> dict[str, Any]:
    """Describe a node as one device with these components, which get their identifiers."""
    for key, component in components.items():
        if component["p"] != "device_automation":
            component["unique_id"] = unique_id(device_id(topics.node), key)
            # The id of a new entity: Home Assistant before 2025.10 reads the one, later ones the other.
            component["default_entity_id"] = f"{component['p']}.{component['obj_id']}"
    return {
        "dev": {
            "ids": [device_id(topics.node)],
            "name": f"Sound monitor {topics.node.replace('_', ' ')}",
            "mf": "clap-monitor",
            "mdl": f"CLAP {model}",
            "sw": __version__,
            **({} if page is None else {"cu": page}),
        },
        "o": ORIGIN,
        "avty": [{"t": topics.status()}],
        "avty_mode": "all",
        "qos": 1,
        "cmps": components,
    }


def platforms(payload: Mapping[str, Any]) -> dict[str, str]:
    """Return the platform of each component, which is needed to remove it."""
    return {key: str(component["p"]) for key, component in payload["cmps"].items()}


def enabled_entities(payload: Mapping[str, Any]) -> int:
    """Return how many entities of a description Home Assistant enables; it takes 10,000 in all."""
    described = payload["cmps"].values()
    return sum(each["p"] != "device_automation" and each.get("en", True) for each in described)


def last_sound(topic: str, label: str, otherwise: str = "") -> Component:
    """Describe the sensor of the last sound; ``label`` and ``otherwise`` are parts of its template."""
    return {
        "p": "sensor",
        "stat_t": topic,
        "val_tpl": f"{{{{ {label}[:{LONGEST_STATE}] {otherwise}}}}}",
        "json_attr_t": topic,
        "ic": "mdi:ear-hearing",
    }


def _of_source(topics: Topics, source: str, suffix: str, types: list[str]) -> dict[str, Component]:
    available = _available(topics, source)
    health: Component = {"stat_t": topics.source_health(source), "ent_cat": "diagnostic"}
    return {
        f"{source}_EVENTS": sound_events(topics, source, suffix, types),
        f"{source}_LEVEL": {
            "p": "sensor",
            "name": f"Level{suffix}",
            "obj_id": slug(topics.node, source, "level"),
            "stat_t": topics.level(source),
            "val_tpl": "{{ value_json.level_dbfs }}",
            "unit_of_meas": "dB",  # of full scale, so no sound pressure and no device class
            "stat_cla": "measurement",
            "sug_dsp_prc": 1,
            "exp_aft": LEVEL_EXPIRES_SECONDS,
            **available,
        },
        # These must be available when the source is not: they depend on the node alone.
        f"{source}_LAST": {
            **last_sound(topics.last_event(source), "value_json.label_name"),
            "name": f"Last sound{suffix}",
            "obj_id": slug(topics.node, source, "last_sound"),
        },
        f"{source}_LISTENERS": {
            "p": "sensor",
            "name": f"Listeners{suffix}",
            "obj_id": slug(topics.node, source, "listeners"),
            "stat_t": topics.listeners(source),
            "stat_cla": "measurement",
            "ic": "mdi:headphones",
        },
        f"{source}_OFFLINE": {
            **_problem("offline"),
            "name": f"Offline{suffix}",
            "obj_id": slug(topics.node, source, "offline"),
            "json_attr_t": topics.source_health(source),
            "json_attr_tpl": "{{ {'offline_reason': value_json.offline_reason, "
            "'offline_text': value_json.offline_text} | tojson }}",
            **health,
        },
        f"{source}_OVERLOADED": {
            **_problem("overloaded"),
            "name": f"Overloaded{suffix}",
            "obj_id": slug(topics.node, source, "overloaded"),
            **health,
        },
        f"{source}_DROPPED": {
            "p": "sensor",
            "name": f"Dropped audio{suffix}",
            "obj_id": slug(topics.node, source, "dropped_audio"),
            "val_tpl": "{{ value_json.dropped_seconds }}",
            "dev_cla": "duration",
            "unit_of_meas": "s",
            "stat_cla": "total_increasing",
            **health,
        },
    }


def sound_events(topics: Topics, source: str, suffix: str, types: list[str]) -> Component:
    """Return the event entity of a source."""
    return {
        "p": "event",
        "name": f"Sound event{suffix}",
        "obj_id": slug(topics.node, source, "sound"),
        "stat_t": topics.event(source),
        "evt_typ": types,
        "ic": "mdi:ear-hearing",
        **_available(topics, source),
    }


def _of_label(topics: Topics, source: str, suffix: str, label: LabelConfig) -> dict[str, Component]:
    return {
        f"{source}_SOUND_{label.id}": {
            "p": "binary_sensor",
            "name": f"{label.title}{suffix}",
            "obj_id": slug(topics.node, source, label.id),
            "dev_cla": label.device_class,
            **({} if label.icon is None else {"ic": label.icon}),
            "stat_t": topics.state(source, label.id),
            "json_attr_t": topics.attributes(source, label.id),
            **_available(topics, source),
        },
        f"{source}_TRIGGER_{label.id}": {
            "p": "device_automation",
            "atype": "trigger",
            "t": topics.trigger(source, label.id),
            "type": TRIGGER,
            "stype": f"{source} {label.id}",  # distinguishes the triggers of a device
            "pl": TRIGGER,
        },
    }


def _score(topics: Topics, source: str, suffix: str, label: LabelConfig) -> Component:
    return {
        "p": "sensor",
        "name": f"Score: {label.title}{suffix}",
        "obj_id": slug(topics.node, source, label.id, "score"),
        "stat_t": topics.score(source, label.id),
        "stat_cla": "measurement",
        "sug_dsp_prc": 2,
        "ent_cat": "diagnostic",
        "en": False,  # changes every second: for users who enable it
        "exp_aft": LEVEL_EXPIRES_SECONDS,
        **_available(topics, source),
    }


def _threshold(topics: Topics, source: str, suffix: str, label: LabelConfig) -> Component:
    return {
        "p": "number",
        "name": f"Threshold: {label.title}{suffix}",
        "obj_id": slug(topics.node, source, label.id, "threshold"),
        "stat_t": topics.threshold(source, label.id),
        "cmd_t": topics.threshold_command(source, label.id),
        "min": 0,
        "max": 1,
        "step": 0.01,
        "ent_cat": "config",
    }


def armed_switch(topics: Topics) -> Component:
    """Return the switch of the whole node."""
    return {
        "p": "switch",
        "name": "Armed",
        "obj_id": slug(topics.node, "armed"),
        "stat_t": topics.armed(),
        "cmd_t": topics.armed_command(),
        "ent_cat": "config",
        "ic": "mdi:ear-hearing",
    }


def _late(topics: Topics) -> Component:
    return {
        **_problem("late"),
        "name": "Late events",
        "obj_id": slug(topics.node, "late_events"),
        "stat_t": topics.health(),
        "ent_cat": "diagnostic",
    }


def _problem(key: str) -> Component:
    template = f"{{{{ 'ON' if value_json.{key} else 'OFF' }}}}"
    return {"p": "binary_sensor", "dev_cla": "problem", "val_tpl": template}


def _available(topics: Topics, source: str) -> Component:
    """Return availability while the node runs and the source is online; replaces that of the root."""
    return {"avty": [{"t": topics.status()}, {"t": topics.source_status(source)}], "avty_mode": "all"}


def device_id(node: str) -> str:
    """Return the device identifier of a node."""
    return f"clap_monitor_{node}"


def slug(*words: str) -> str:
    """Return words as the identifier of an entity."""
    return re.sub(r"[^a-z0-9]+", "_", "_".join(words)).strip("_")
