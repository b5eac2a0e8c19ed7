"""Discovery summary: a node as a handful of entities, however many labels it has; pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from monitor.config import LabelConfig
from monitor.outputs.mqtt.discovery import (
    Component,
    armed_switch,
    last_sound,
    node_payload,
    slug,
    sound_events,
)
from monitor.outputs.mqtt.topics import Topics


def summary_payload(
    topics: Topics,
    *,
    labels: Mapping[str, Sequence[LabelConfig]],
    model: str,
    commands: bool = True,
    page: str | None = None,
    retired: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Describe a node as `monitor.outputs.mqtt.discovery.discovery_payload` does, but in few entities.

    Three of the node (is there a problem, the last sound, is it armed), and the sound events of each source.
    """
    components: dict[str, Component] = {"PROBLEM": _problem(topics), "LAST": _last(topics)}
    if commands:
        components["ARMED"] = armed_switch(topics)
    for source in labels:
        suffix = f", {source}" if len(labels) > 1 else ""
        types = list(dict.fromkeys([*(label.id for label in labels[source]), *retired.get(source, ())]))
        components[f"{source}_EVENTS"] = sound_events(topics, source, suffix, types)
    return node_payload(topics, components, model=model, page=page)


def _problem(topics: Topics) -> Component:
    return {
        "p": "binary_sensor",
        "name": "Problem",
        "obj_id": slug(topics.node, "problem"),
        "dev_cla": "problem",
        "stat_t": topics.info(),
        "val_tpl": "{{ 'ON' if value_json.problems else 'OFF' }}",
        "json_attr_t": topics.info(),
        "json_attr_tpl": "{{ {'problems': value_json.problems} | tojson }}",
        "ent_cat": "diagnostic",
    }


def _last(topics: Topics) -> Component:
    # Home Assistant shows "None" as unknown.
    known = "if value_json.last_event else None "
    return {
        **last_sound(topics.info(), "value_json.last_event.label_name", known),
        "name": "Last sound",
        "obj_id": slug(topics.node, "last_sound"),
        "json_attr_tpl": "{{ (value_json.last_event or {}) | tojson }}",
    }
