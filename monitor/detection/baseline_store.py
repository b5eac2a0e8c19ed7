"""Baselines of live sources, saved from one run to the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from monitor.detection.prototypes import Prototypes
from monitor.model.config_ranges import Range, check_mapping, shown
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ModelError

log = logging.getLogger(__name__)

FILE = "ambience.json"

MOST = 1000
"""Limit of labels of a source, the removed ones included."""

_MOST_BYTES = 64 * 2**20
_LOGITS = Range(-1e4, 1e4, whole=False)
"""Range of a baseline; any other would make every score 0 or NaN."""


def read_baselines(state: Path) -> dict[str, dict[str, float]]:
    """Read the baselines: source to fingerprint of a label to logit; none if they cannot be read.

    Parameters
    ----------
    state : Path
        The state directory.
    """
    path = state / FILE
    try:
        content = read_json(path, _MOST_BYTES)
        check_mapping(content, {}, "it")
        for source, kept in content.items():
            check_mapping(kept, dict.fromkeys(kept, _LOGITS) if isinstance(kept, dict) else {}, shown(source))
    except FileNotFoundError:
        return {}
    except (OSError, DamagedError, ModelError) as error:
        log.warning("%s: not usable, starting without baselines: %s", path, explain(error))
        return {}
    return {source: {key: float(level) for key, level in kept.items()} for source, kept in content.items()}


def write_baselines(state: Path, baselines: Mapping[str, Mapping[str, float]]) -> None:
    """Write the baselines atomically; a full disk is only logged."""
    path = state / FILE
    try:
        write_atomic(path, json.dumps(baselines, indent=1).encode())
    except OSError as error:
        log.warning("%s: the baselines cannot be saved: %s", path, error.strerror)


class BaselineStore:
    """Baseline of every label that was ever detected at a source.

    Parameters
    ----------
    state : Path
        The state directory, for the next run.
    model : str
        Identity of the checkpoint: a baseline holds for one checkpoint only.
    """

    def __init__(self, state: Path, model: str) -> None:
        self._state, self._model = state, model
        self._baselines = read_baselines(state)

    def read(self, source: str, prototypes: Prototypes) -> dict[str, float]:
        """Return the baseline of a source, label to logit."""
        kept = self._baselines.get(source, {})
        return {label: kept[key] for label, key in self._keys(prototypes).items() if key in kept}

    def record(self, source: str, prototypes: Prototypes, baseline: Mapping[str, float]) -> None:
        """Record the baseline of a source before its labels change: they may come back."""
        known = self._baselines.get(source, {})
        self._baselines[source] = {
            **(known if len(known) < MOST else {}),
            **self._keyed(prototypes, baseline),
        }

    def save(self, prototypes: Prototypes, baselines: Mapping[str, Mapping[str, float]]) -> None:
        """Save the baselines of live sources, source to label to logit, for the next run."""
        for source, baseline in baselines.items():
            self._baselines[source] = self._keyed(prototypes, baseline)
        if baselines:
            write_baselines(self._state, self._baselines)

    def _keyed(self, prototypes: Prototypes, baseline: Mapping[str, float]) -> dict[str, float]:
        keys = self._keys(prototypes)
        return {keys[label]: logit for label, logit in baseline.items()}

    def _keys(self, prototypes: Prototypes) -> dict[str, str]:
        return {
            label: f"{self._model} {fingerprint}"
            for label, fingerprint in zip(prototypes.labels, prototypes.fingerprints, strict=True)
        }
