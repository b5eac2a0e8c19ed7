"""Examples of a label: embeddings of recordings of its sound, as one JSON document; no audio."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.config.validators import ID
from monitor.detection.quantised import restored
from monitor.system.bounded_read import DamagedError
from monitor.types import Embeddings

MOST_EXAMPLES = 32
"""Examples of a label; with 32 the prompts weigh 1/9, and a document fits into a request."""

LONGEST_ORIGIN = 120
"""Characters."""

_LARGEST_DIMENSION = 4096
_SCHEMA = 1


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What was shown of the sound of one label."""

    label: str
    """Identifier of the label."""
    identity: str
    """Of the checkpoint: another one has other embeddings."""
    rows: NDArray[np.int16]
    """One quantised embedding for each example, shape (k, d)."""
    origins: tuple[str, ...]
    """Where each example is from: the name of a file, an event, or a source."""

    @property
    def embeddings(self) -> Embeddings:
        """Unit vectors, shape (k, d)."""
        return restored(self.rows)

    @property
    def fingerprint(self) -> str:
        """Hash of the embeddings: a baseline belongs to it."""
        return hashlib.sha256(self.identity.encode() + self.rows.tobytes()).hexdigest()[:16]

    def document(self) -> dict[str, Any]:
        """Return them ready for JSON."""
        rows = self.rows.astype("<i2")
        return {
            "schema": _SCHEMA,
            "label": self.label,
            "checkpoint": self.identity,
            "examples": [
                {"origin": origin, "embedding": base64.b64encode(row.tobytes()).decode()}
                for origin, row in zip(self.origins, rows, strict=True)
            ],
        }


def added(known: Examples | None, new: Examples) -> Examples:
    """Return the known examples and the new ones; the oldest are dropped where there are too many.

    Those of another checkpoint are dropped as well, and an embedding that is known already is not repeated.
    """
    if known is None or known.identity != new.identity or known.rows.shape[1] != new.rows.shape[1]:
        return new
    rows: dict[bytes, tuple[NDArray[np.int16], str]] = {}
    for each in (known, new):
        rows |= {row.tobytes(): (row, origin) for row, origin in zip(each.rows, each.origins, strict=True)}
    kept = list(rows.values())[-MOST_EXAMPLES:]
    return Examples(
        new.label, new.identity, np.stack([row for row, _ in kept]), tuple(origin for _, origin in kept)
    )


def examples_of(document: object) -> Examples:
    """Return the examples in a JSON document.

    Raises
    ------
    DamagedError
        `Examples.document` did not make this.
    """
    found = _mapping(document, "it")
    if found.get("schema") != _SCHEMA:
        raise DamagedError(f"schema is not {_SCHEMA}")
    label, identity, entries = found.get("label"), found.get("checkpoint"), found.get("examples")
    if not isinstance(label, str) or not re.fullmatch(ID, label):
        raise DamagedError("label is not the identifier of a label")
    if not isinstance(identity, str) or not 0 < len(identity) <= LONGEST_ORIGIN:
        raise DamagedError("checkpoint is not the identity of a checkpoint")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_EXAMPLES:
        raise DamagedError(f"examples: there must be 1 to {MOST_EXAMPLES}")
    parts = [_mapping(entry, f"examples[{place}]") for place, entry in enumerate(entries)]
    origins = [part.get("origin") for part in parts]
    if not all(isinstance(each, str) and len(each) <= LONGEST_ORIGIN for each in origins):
        raise DamagedError(f"examples: an origin is not text of at most {LONGEST_ORIGIN} characters")
    rows = [_row(part.get("embedding"), place) for place, part in enumerate(parts)]
    if len({len(row) for row in rows}) > 1:
        raise DamagedError("examples: the embeddings differ in length")
    return Examples(label, identity, np.stack(rows), tuple(map(str, origins)))


def _row(text: object, place: int) -> NDArray[np.int16]:
    """Return one embedding, which must be a unit vector, shape (d,)."""
    where = f"examples[{place}].embedding"
    if not isinstance(text, str) or len(text) > 3 * _LARGEST_DIMENSION:
        raise DamagedError(f"{where} is not an embedding")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise DamagedError(f"{where} is not base64") from None
    if not content or len(content) % 2:
        raise DamagedError(f"{where} does not consist of 16-bit numbers")
    row = np.frombuffer(content, dtype="<i2").astype(np.int16)
    length = float(np.linalg.norm(restored(row)))
    if abs(length - 1.0) > 0.01:  # noqa: PLR2004 - rounding changes less
        raise DamagedError(f"{where} is not a unit vector but {length:.3g} long")
    return row


def _mapping(content: object, what: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise DamagedError(f"{what} is not a mapping")
    return content
