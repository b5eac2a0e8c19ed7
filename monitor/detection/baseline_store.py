"""What the rooms of live sources sound like to the model, kept from one run to the next."""

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
"""Labels of a source that are remembered, those that are not listened for any more included."""

_MOST_BYTES = 64 * 2**20
_LOGITS = Range(-1e4, 1e4, whole=False)
"""What a room can give a label; anything else would make every score 0, or none."""


def read_baselines(state: Path) -> dict[str, dict[str, float]]:
    """Return what was kept: source to fingerprint of a label to logit; nothing if it cannot be read.

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
        log.warning("%s: not usable, the ambience is learnt anew: %s", path, explain(error))
        return {}
    return {source: {key: float(level) for key, level in kept.items()} for source, kept in content.items()}


def write_baselines(state: Path, baselines: Mapping[str, Mapping[str, float]]) -> None:
    """Keep them, whole or not at all; a full disk is only logged."""
    path = state / FILE
    try:
        write_atomic(path, json.dumps(baselines, indent=1).encode())
    except OSError as error:
        log.warning("%s: the ambience cannot be kept: %s", path, error.strerror)


class BaselineStore:
    """What every room gives every label that was ever listened for in it.

    Parameters
    ----------
    state : Path
        The state directory, for the next run.
    model : str
        Identity of the checkpoint: what another one heard says nothing.
    """

    def __init__(self, state: Path, model: str) -> None:
        self._state, self._model = state, model
        self._known = read_baselines(state)

    def known(self, source: str, prototypes: Prototypes) -> dict[str, float]:
        """What was noted of a source: label to logit."""
        kept = self._known.get(source, {})
        return {label: kept[key] for label, key in self._keys(prototypes).items() if key in kept}

    def note(self, source: str, prototypes: Prototypes, levels: Mapping[str, float]) -> None:
        """Take label to logit of labels that are about to go, should they come back."""
        known = self._known.get(source, {})
        self._known[source] = {**(known if len(known) < MOST else {}), **self._keyed(prototypes, levels)}

    def keep(self, prototypes: Prototypes, rooms: Mapping[str, Mapping[str, float]]) -> None:
        """Keep source to label to logit for the next run; a replayed file is no room."""
        for source, levels in rooms.items():
            self._known[source] = self._keyed(prototypes, levels)
        if rooms:
            write_baselines(self._state, self._known)

    def _keyed(self, prototypes: Prototypes, levels: Mapping[str, float]) -> dict[str, float]:
        keys = self._keys(prototypes)
        return {keys[label]: level for label, level in levels.items()}

    def _keys(self, prototypes: Prototypes) -> dict[str, str]:
        return {
            label: f"{self._model} {fingerprint}"
            for label, fingerprint in zip(prototypes.labels, prototypes.fingerprints, strict=True)
        }
