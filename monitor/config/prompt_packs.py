"""Prompt packs: sets of labels for common purposes, one YAML file each, that a configuration includes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from monitor.config.yaml_reader import parse

PackName = Literal["appliances", "care", "door", "guards", "outdoors", "pets", "safety"]

PACKS: tuple[str, ...] = get_args(PackName)
"""Names of all packs."""

_DIRECTORY = Path(__file__).with_name("packs")


@cache
def pack_labels(pack: str) -> tuple[Mapping[str, Any], ...]:
    """Return the labels of a pack, as they would stand in a configuration."""
    content: Any = parse((_DIRECTORY / f"{pack}.yaml").read_text(encoding="utf-8")).data
    return tuple(content["labels"])


def with_packs(config: object) -> object:
    """Return the content of a configuration with the labels of the packs that it includes.

    Keys of a label of the configuration replace those of a pack's label of the same ``id``.  What is not a
    configuration, or includes what is not a pack, is returned as it is: validation finds it.
    """
    if not isinstance(config, dict):
        return config
    packs, labels = config.get("include"), config.get("labels", ())
    if not isinstance(packs, list | tuple) or not isinstance(labels, list | tuple):
        return config
    included = {label["id"]: label for pack in packs if pack in PACKS for label in pack_labels(pack)}
    return {**config, "labels": _merged(labels, included)} if included else config


def _merged(labels: Sequence[Any], included: Mapping[str, Mapping[str, Any]]) -> list[Any]:
    """Return the labels in their order, then those of the packs that none of them replaces."""
    own = [_completed(label, included) for label in labels]
    ids = {label.get("id") for label in own if isinstance(label, dict) and isinstance(label.get("id"), str)}
    return [*own, *(dict(label) for id_, label in included.items() if id_ not in ids)]


def _completed(label: Any, included: Mapping[str, Mapping[str, Any]]) -> Any:
    id_ = label.get("id") if isinstance(label, dict) else None
    return {**included[id_], **label} if isinstance(id_, str) and id_ in included else label
