"""Record of what the broker and Home Assistant have been told of a node: the file ``announced.json``."""

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

LARGEST = 64_000_000
"""Bytes of the file; 10,000 components take a hundredth of it."""

_TOPIC = re.compile(r"[^+#\0]+/device/[a-zA-Z0-9_-]+/config")
_RETAINED = re.compile(r"[^+#\0]+")

_LONGEST_TOPIC = 65_535
"""Bytes of UTF-8 in a topic of MQTT; the client would raise, and the broker end the connection."""

Components = Mapping[str, Mapping[str, str]]
"""Platform of each component, by the topic of its description and its identifier."""


@dataclass(frozen=True, slots=True)
class DiscoveryRecord:
    """What has been told."""

    components: Components = field(default_factory=dict)
    """Of the descriptions that may be retained at the broker."""
    retained: Collection[str] = frozenset()
    """Topics of everything else that may be retained."""
    ghosts: Components = field(default_factory=dict)
    """Components that are gone, and that Home Assistant may still show."""
    types: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Labels that Home Assistant knows as types of the events of a source."""


def read_discovery_record(path: Path | None) -> DiscoveryRecord:
    """Return the record; an empty one if there is none, or none that can be read."""
    if path is None:
        return DiscoveryRecord()
    try:
        content = _mapping(read_json(path, LARGEST))
        return DiscoveryRecord(
            components=_components(content.get("announced")),
            retained=frozenset(_texts(content.get("retained"), _RETAINED)),
            ghosts=_components(content.get("ghosts", {})),
            types={str(key): _texts(value) for key, value in _mapping(content.get("types", {})).items()},
        )
    except FileNotFoundError:
        return DiscoveryRecord()
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, what was announced before is not taken back: %s", path, explain(error))
        return DiscoveryRecord()


def write_discovery_record(path: Path | None, announced: DiscoveryRecord) -> None:
    """Keep the record; a disk that cannot be written is logged, and nothing else comes of it."""
    if path is None:
        return
    content = {
        "announced": announced.components,
        "retained": sorted(announced.retained),
        "ghosts": announced.ghosts,
        "types": {source: list(announced.types[source]) for source in announced.types},
    }
    try:
        make_directory(path.parent)
        write_atomic(path, json.dumps(content, indent=1).encode())
    except OSError as error:
        log.warning("%s: what the broker keeps of us cannot be remembered: %s", path, error.strerror)


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
        raise DamagedError(f"{str(value)[:60]!r} is not what was written")
    return value
