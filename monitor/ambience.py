"""What the rooms of live sources sound like to the model, kept from one run to the next."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from monitor.whole import write_whole

log = logging.getLogger(__name__)

FILE = "ambience.json"


def read_ambiences(state: Path) -> dict[str, dict[str, float]]:
    """Return what was kept: source to fingerprint of a label to logit; nothing if it cannot be read.

    Parameters
    ----------
    state : Path
        The state directory.
    """
    path = state / FILE
    try:
        content = json.loads(path.read_text())
        return {str(s): {str(k): float(v) for k, v in kept.items()} for s, kept in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s: not readable, the ambience is learnt anew: %s", path, error)
        return {}


def write_ambiences(state: Path, ambiences: Mapping[str, Mapping[str, float]]) -> None:
    """Keep them, whole or not at all; a full disk is only logged."""
    path = state / FILE
    try:
        write_whole(path, json.dumps(ambiences, indent=1).encode())
    except OSError as error:
        log.warning("%s: the ambience cannot be kept: %s", path, error.strerror)
