"""Description of a node by which Home Assistant makes one device of it; pure functions.

Device-based discovery: one payload that holds every entity, with the abbreviated keys of Home Assistant's
documentation.  Identifiers of ours are lower case, so the words in capitals between them keep any two
components apart, whatever the sources and labels are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from monitor import __version__
from monitor.config import LabelConfig
from monitor.outputs.mqtt.discovery_parts import part_topic
from monitor.outputs.mqtt.stale_entities import unique_id
from monitor.outputs.mqtt.topics import TRIGGER, Topics

LEVEL_EXPIRES_SECONDS = 120
"""A level that is not followed by another for so long is not known any more; the longest hop is 60 s."""

LONGEST_STATE = 255
"""Characters that Home Assistant takes as a state."""

ORIGIN = {"name": "clap-monitor", "sw": __version__}
"""Who describes it."""

Component = dict[str, object]


def discovery_topic(prefix: str, node: str) -> str:
    """Where Home Assistant looks for the description of a node; see `discovery_parts` for more."""
    return part_topic(prefix, device_id(node), 0)


def birth_topic(prefix: str) -> str:
    """Where Home Assistant says ``online`` when it starts."""
    return f"{prefix}/status"


def discovery_payload(
    topics: Topics,
    *,
    labels: Mapping[str, Sequence[LabelConfig]],
    model: str,
    commands: bool = True,
    page: str | None = None,
    retired: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> dict[str, object]:
    """Describe a node and everything it publishes.

    Parameters
    ----------
    topics : Topics
        Of the node.
    labels : mapping of str to sequence of LabelConfig
        Those of each source, by its name; if there is more than one, the names of entities end in it,
        and begin with what tells them apart: phones cut names at the end.
    model : str
        Name of the checkpoint.
    commands : bool
        Whether it can be told what to do; else there is nothing to switch or set.
    page : str or None
        URL of the page, as a browser anywhere in the house reaches it.
    retired : mapping of str to iterable of str
        By source, labels that are gone and of which events may still come: Home Assistant ignores an event
        of a type that it does not know.

    Returns
    -------
    dict
        Ready for JSON; ``cmps`` holds the components by their identifier.
    """
    components: dict[str, Component] = {"LATE": _late(topics)}
    if commands:
        components["ARMED"] = _armed(topics)
    for source in labels:
        suffix = f", {source}" if len(labels) > 1 else ""
        types = list(dict.fromkeys([*(label.id for label in labels[source]), *retired.get(source, ())]))
        components |= _of_source(topics, source, suffix, types)
        for label in labels[source]:
            components |= _of_label(topics, source, suffix, label)
            if commands:
                components[f"{source}_THRESHOLD_{label.id}"] = _threshold(topics, source, suffix, label)
    for key, component in components.items():
        if component["p"] != "device_automation":
            component["unique_id"] = unique_id(device_id(topics.node), key)
            # Home Assistant before 2025.10 reads the one, later ones the other.
            component["obj_id"] = str(component["default_entity_id"]).partition(".")[2]
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


def platforms(payload: Mapping[str, object]) -> dict[str, str]:
    """Platform of each component of a description: what must be known to take it back."""
    components = payload["cmps"]
    if not isinstance(components, dict):
        raise TypeError(f"cmps is {components!r}")
    return {key: str(component["p"]) for key, component in components.items()}


def _of_source(topics: Topics, source: str, suffix: str, types: list[str]) -> dict[str, Component]:
    heard = _heard(topics, source)
    health: Component = {"stat_t": topics.source_health(source), "ent_cat": "diagnostic"}
    return {
        f"{source}_EVENTS": {
            "p": "event",
            "name": f"Sound event{suffix}",
            "default_entity_id": _entity("event", topics.node, source, "sound"),
            "stat_t": topics.event(source),
            "evt_typ": types,
            "ic": "mdi:ear-hearing",
            **heard,
        },
        f"{source}_LEVEL": {
            "p": "sensor",
            "name": f"Level{suffix}",
            "default_entity_id": _entity("sensor", topics.node, source, "level"),
            "stat_t": topics.level(source),
            "val_tpl": "{{ value_json.level_dbfs }}",
            "unit_of_meas": "dB",  # of full scale, so no sound pressure and no device class
            "stat_cla": "measurement",
            "sug_dsp_prc": 1,
            "exp_aft": LEVEL_EXPIRES_SECONDS,
            **heard,
        },
        # These must be there just when the source is not: the node's availability is enough for them.
        f"{source}_LAST": {
            "p": "sensor",
            "name": f"Last sound{suffix}",
            "default_entity_id": _entity("sensor", topics.node, source, "last_sound"),
            "stat_t": topics.last_event(source),
            "val_tpl": f"{{{{ value_json.label_name[:{LONGEST_STATE}] }}}}",
            "json_attr_t": topics.last_event(source),
            "ic": "mdi:ear-hearing",
        },
        f"{source}_OFFLINE": {
            **_problem("offline"),
            "name": f"Offline{suffix}",
            "default_entity_id": _entity("binary_sensor", topics.node, source, "offline"),
            "json_attr_t": topics.source_health(source),
            "json_attr_tpl": "{{ {'offline_reason': value_json.offline_reason, "
            "'offline_text': value_json.offline_text} | tojson }}",
            **health,
        },
        f"{source}_OVERLOADED": {
            **_problem("overloaded"),
            "name": f"Overloaded{suffix}",
            "default_entity_id": _entity("binary_sensor", topics.node, source, "overloaded"),
            **health,
        },
        f"{source}_DROPPED": {
            "p": "sensor",
            "name": f"Dropped audio{suffix}",
            "default_entity_id": _entity("sensor", topics.node, source, "dropped_audio"),
            "val_tpl": "{{ value_json.dropped_seconds }}",
            "dev_cla": "duration",
            "unit_of_meas": "s",
            "stat_cla": "total_increasing",
            **health,
        },
    }


def _of_label(topics: Topics, source: str, suffix: str, label: LabelConfig) -> dict[str, Component]:
    return {
        f"{source}_SOUND_{label.id}": {
            "p": "binary_sensor",
            "name": f"{label.title}{suffix}",
            "default_entity_id": _entity("binary_sensor", topics.node, source, label.id),
            "dev_cla": label.device_class,
            "stat_t": topics.state(source, label.id),
            "json_attr_t": topics.attributes(source, label.id),
            **_heard(topics, source),
        },
        f"{source}_SCORE_{label.id}": {
            "p": "sensor",
            "name": f"Score: {label.title}{suffix}",
            "default_entity_id": _entity("sensor", topics.node, source, label.id, "score"),
            "stat_t": topics.score(source, label.id),
            "stat_cla": "measurement",
            "sug_dsp_prc": 2,
            "ent_cat": "diagnostic",
            "en": False,  # for who wants to look closely: it changes every second
            "exp_aft": LEVEL_EXPIRES_SECONDS,
            **_heard(topics, source),
        },
        f"{source}_TRIGGER_{label.id}": {
            "p": "device_automation",
            "atype": "trigger",
            "t": topics.trigger(source, label.id),
            "type": TRIGGER,
            "stype": f"{source} {label.id}",  # Home Assistant tells triggers of a device apart by it
            "pl": TRIGGER,
        },
    }


def _threshold(topics: Topics, source: str, suffix: str, label: LabelConfig) -> Component:
    return {
        "p": "number",
        "name": f"Threshold: {label.title}{suffix}",
        "default_entity_id": _entity("number", topics.node, source, label.id, "threshold"),
        "stat_t": topics.threshold(source, label.id),
        "cmd_t": topics.threshold_command(source, label.id),
        "min": 0,
        "max": 1,
        "step": 0.01,
        "ent_cat": "config",
    }


def _armed(topics: Topics) -> Component:
    return {
        "p": "switch",
        "name": "Armed",
        "default_entity_id": _entity("switch", topics.node, "armed"),
        "stat_t": topics.armed(),
        "cmd_t": topics.armed_command(),
        "ent_cat": "config",
        "ic": "mdi:ear-hearing",
    }


def _late(topics: Topics) -> Component:
    return {
        **_problem("late"),
        "name": "Late events",
        "default_entity_id": _entity("binary_sensor", topics.node, "late_events"),
        "stat_t": topics.health(),
        "ent_cat": "diagnostic",
    }


def _problem(key: str) -> Component:
    template = f"{{{{ 'ON' if value_json.{key} else 'OFF' }}}}"
    return {"p": "binary_sensor", "dev_cla": "problem", "val_tpl": template}


def _heard(topics: Topics, source: str) -> Component:
    """Known only while the node runs and the source hears; in place of what stands at the root."""
    return {"avty": [{"t": topics.status()}, {"t": topics.source_status(source)}], "avty_mode": "all"}


def device_id(node: str) -> str:
    """Name by which Home Assistant knows the device of a node."""
    return f"clap_monitor_{node}"


def _entity(domain: str, *words: str) -> str:
    """Entity identifier that a new entity gets; one that a person has changed stays."""
    return f"{domain}.{_one_word(words)}"


def _one_word(words: Iterable[str]) -> str:
    return re.sub(r"[^a-z0-9]+", "_", "_".join(words)).strip("_")
