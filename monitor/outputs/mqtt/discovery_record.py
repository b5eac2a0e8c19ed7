"""Record of what the broker retains and Home Assistant knows of a node: the file ``announced.json``."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.system.directories import make_directory

log = logging.getLogger(__name__)

MAX_BYTES = 64_000_000
"""Size of the file; 10,000 components take a hundredth of it."""

_TOPIC = re.compile(r"[^+#\0]+/device/[a-zA-Z0-9_-]+/config")
_RETAINED = re.compile(r"[^+#\0]+")

_LONGEST_TOPIC = 65_535
"""Bytes of a topic in MQTT; paho raises for a longer one, and a broker would close the connection."""

Components = Mapping[str, Mapping[str, str]]
"""Platform of each component, by the topic of its description and its identifier."""


@dataclass(frozen=True, slots=True)
class DiscoveryRecord:
    """Retained topics and known components of a node."""

    components: Components = field(default_factory=dict)
    """Components in descriptions that the broker may retain."""
    retained: Collection[str] = frozenset()
    """Topics of all other messages that the broker may retain."""
    stale: Components = field(default_factory=dict)
    """Removed components that Home Assistant may still show."""
    types: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Labels that Home Assistant knows as event types, by source."""


def read_discovery_record(path: Path | None) -> DiscoveryRecord:
    """Return the record; empty if the file is missing or cannot be read."""
    if path is None:
        return DiscoveryRecord()
    try:
        content = _mapping(read_json(path, MAX_BYTES))
        return DiscoveryRecord(
            components=_components(content.get("announced")),
            retained=frozenset(_texts(content.get("retained"), _RETAINED)),
            stale=_components(content.get("ghosts", {})),
            types={str(key): _texts(value) for key, value in _mapping(content.get("types", {})).items()},
        )
    except FileNotFoundError:
        return DiscoveryRecord()
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, entities of earlier runs are not removed: %s", path, explain(error))
        return DiscoveryRecord()


def write_discovery_record(path: Path | None, record: DiscoveryRecord) -> None:
    """Write the record; an error is only logged."""
    if path is None:
        return
    content = {
        "announced": record.components,
        "retained": sorted(record.retained),
        "ghosts": record.stale,
        "types": {source: list(record.types[source]) for source in record.types},
    }
    try:
        make_directory(path.parent)
        write_atomic(path, json.dumps(content, indent=1).encode())
    except OSError as error:
        log.warning("%s: the record of retained messages cannot be written: %s", path, error.strerror)


def _components(value: Any) -> dict[str, dict[str, str]]:
    return {
        topic: {key: _text(platform) for key, platform in _mapping(value[topic]).items()}
        for topic in _texts(list(_mapping(value)), _TOPIC)
    }


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedError(f"{str(value)[:60]!r} is not a mapping")
    return value


def _texts(value: Any, pattern: re.Pattern[str] = re.compile(".*")) -> list[str]:
    if not isinstance(value, list):
        raise DamagedError(f"{str(value)[:60]!r} is not a list")
    return [_text(each, pattern) for each in value]


def _text(value: Any, pattern: re.Pattern[str] = re.compile("[a-z_]+")) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value) or len(value.encode()) > _LONGEST_TOPIC:
        raise DamagedError(f"{str(value)[:60]!r} is not valid")
    return value
