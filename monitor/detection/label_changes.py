"""Label changes: labels added, changed, removed, enabled or disabled, as overrides of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.config import changed_label
from monitor.detection.active_labels import Settings
from monitor.detection.overrides import Overrides
from monitor.types import ConfigError


def add_label(settings: Settings, keys: Mapping[str, object]) -> Overrides:
    """Add a label.

    Raises
    ------
    ConfigError
        As `put_label`; or there is a label of this identifier.
    """
    id_ = keys.get("id")
    if any(label.id == id_ for label in settings.active_labels.labels):
        raise ConfigError(f"there is a label {id_!r} already; use another id, or remove it first")
    return put_label(settings, keys)


def put_label(settings: Settings, keys: Mapping[str, object]) -> Overrides:
    """Add a label, or change keys of the one of the same ``id``; None stands for the default of a key.

    Raises
    ------
    ConfigError
        As for a label in the file.
    """
    known = next((label for label in settings.active_labels.labels if label.id == keys.get("id")), None)
    label = changed_label(known, keys)
    return settings.overrides.put(label.id, {key: value for key, value in keys.items() if key != "id"})


def remove_label(settings: Settings, label: str) -> Overrides:
    """Remove a label.

    Raises
    ------
    ConfigError
        There is no label of this identifier.
    """
    settings.active_labels.find(label)
    return settings.overrides.remove(label)


def enable_label(settings: Settings, label: str, *, enabled: bool) -> Overrides:
    """Enable or disable a label.

    Raises
    ------
    ConfigError
        There is no label of this identifier.
    """
    settings.active_labels.find(label)
    return settings.overrides.put(label, {"enabled": enabled})
