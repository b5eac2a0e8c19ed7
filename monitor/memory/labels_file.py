"""Labels file: the labels in force from a moment on, so that a replay needs no other configuration.

Each source's segments refer to it by its number.  It holds the labels, the rules of each source, and the
baseline that new labels have there.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monitor.config import LabelConfig, changed_label
from monitor.config.hours import parse_hours
from monitor.detection.rules import Rule
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ConfigError

log = logging.getLogger(__name__)

SUFFIX = ".labels.json"

MOST_BYTES = 16 * 2**20
"""Size limit of a file: 200 labels with all their prompts, at 256 sources."""


@dataclass(frozen=True, slots=True)
class LabelsInForce:
    """Labels and rules from a moment on."""

    labels: tuple[LabelConfig, ...]
    """The enabled ones."""
    background: tuple[str, ...]
    armed: bool
    rules: Mapping[str, tuple[Rule, ...]]
    """By source."""
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Logit of labels without a history, by source, then by label."""


def labels_path(directory: Path, number: int) -> Path:
    """Return the path of a labels file; ``number`` is its time in Unix nanoseconds."""
    return directory / f"{number:019d}{SUFFIX}"


def write_labels(path: Path, labels: LabelsInForce) -> None:
    """Write a labels file.

    Raises
    ------
    OSError
        It cannot be written.
    """
    content = {
        "labels": [label.model_dump(mode="json", exclude_defaults=True) for label in labels.labels],
        "background": list(labels.background),
        "armed": labels.armed,
        "rules": {source: [_packed(rule) for rule in rules] for source, rules in labels.rules.items()},
        "baselines": {source: dict(known) for source, known in labels.baselines.items()},
    }
    text = json.dumps(content)
    document = f'{{"checksum": {zlib.crc32(text.encode())}, "content": {text}}}\n'
    write_atomic(path, document.encode(), durable=True)


def read_labels(path: Path) -> LabelsInForce | None:
    """Read a labels file; None if it has gone or is damaged, which is logged."""
    try:
        content = _verified(read_json(path, MOST_BYTES))
        return LabelsInForce(
            tuple(changed_label(None, keys) for keys in content["labels"]),
            tuple(content["background"]),
            bool(content["armed"]),
            {source: tuple(map(_rule, rules)) for source, rules in content["rules"].items()},
            {
                source: {label: float(logit) for label, logit in known.items()}
                for source, known in content["baselines"].items()
            },
        )
    except (OSError, DamagedError, ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
        log.warning("%s: cannot tell which labels were in force: %s", path, explain(error))
        return None


def _verified(document: Mapping[str, Any]) -> Mapping[str, Any]:
    content: Mapping[str, Any] = document["content"]
    if document["checksum"] != zlib.crc32(json.dumps(content).encode()):
        raise DamagedError("its checksum is wrong")
    return content


def _packed(rule: Rule) -> dict[str, object]:
    return {**asdict(rule), "quiet": [str(hours) for hours in rule.quiet]}


def _rule(packed: Mapping[str, Any]) -> Rule:
    quiet: Sequence[str] = packed["quiet"]
    return Rule(**{**packed, "quiet": tuple(map(parse_hours, quiet))})
