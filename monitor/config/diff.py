"""Configuration changes: labels changed at run time, checked like the file, and differences in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ValidationError

from monitor.config.errors import explain, key_path
from monitor.config.labels import LabelConfig
from monitor.config.models import Config
from monitor.config.yaml_reader import Node
from monitor.system.boundary import boundary
from monitor.types import ConfigError

MOST_FAULTS = 8
"""Errors of a label that are reported; further ones are only counted."""


def changed_label(label: LabelConfig | None, keys: Mapping[str, object]) -> LabelConfig:
    """Label with some keys changed, None resetting one to its default; without a label, a new one.

    Raises
    ------
    ConfigError
        One line with every error, worded as for the file.
    """
    content = {} if label is None else label.model_dump(exclude_unset=True)
    for key, other in (("threshold", "target"), ("target", "threshold")):
        if keys.get(key) is not None and other not in keys:
            content.pop(other, None)  # the newer of the two holds
    content |= keys
    content = {key: value for key, value in content.items() if value is not None}
    with boundary(ConfigError, "label"):
        try:
            return LabelConfig.model_validate(content)
        except ValidationError as error:
            raise ConfigError("; ".join(_faults(error))) from error


def _faults(error: ValidationError) -> list[str]:
    found = [
        f"{key_path(place) or 'label'}: {words}" for _, place, words in explain(error, LabelConfig, Node(1))
    ]
    return (
        found if len(found) <= MOST_FAULTS else [*found[:MOST_FAULTS], f"and {len(found) - MOST_FAULTS} more"]
    )


def with_threshold(label: LabelConfig, threshold: object) -> LabelConfig:
    """Label with another threshold; a release threshold above it is lowered to it.

    Raises
    ------
    ConfigError
        The threshold is not a number in [0, 1].
    """
    keys: dict[str, object] = {"threshold": threshold, "release_threshold": None}
    moved = changed_label(label, keys)
    if label.release_threshold is None:
        return moved
    return changed_label(moved, {"release_threshold": min(label.release_threshold, moved.threshold)})


def differences(old: Config, new: Config) -> dict[str, list[str]]:
    """Differences between two configurations, one line each, by top-level key.

    Only numbers and booleans are shown: texts may be long, or contain a password.
    """
    found: dict[str, list[str]] = {}
    for key in type(old).model_fields:
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            found[key] = list(_lines(key, before, after))
    return found


def _lines(key: str, before: object, after: object) -> Iterator[str]:
    if isinstance(before, BaseModel) and isinstance(after, BaseModel):
        for name in type(before).model_fields:
            if getattr(before, name) != getattr(after, name):
                yield from _lines(f"{key}.{name}", getattr(before, name), getattr(after, name))
    elif key == "labels" and isinstance(before, Sequence) and isinstance(after, Sequence):
        yield from _label_lines({each.id: each for each in before}, {each.id: each for each in after})
    elif isinstance(before, int | float) and isinstance(after, int | float):
        yield f"{key}: {_shown(before)} -> {_shown(after)}"
    else:
        yield f"{key}: changed"


def _label_lines(before: Mapping[str, LabelConfig], after: Mapping[str, LabelConfig]) -> Iterator[str]:
    moved = False
    for id_ in dict.fromkeys([*before, *after]):
        if id_ not in after:
            yield f"labels: {id_} removed"
        elif id_ not in before:
            yield f"labels: {id_} added"
        elif before[id_] != after[id_]:
            yield from _lines(f"labels: {id_}", before[id_], after[id_])
        else:
            continue
        moved = True
    if not moved:
        yield "labels: order changed"


def _shown(value: float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
