"""Examples of a label, and its rivals: embeddings of recordings, as one JSON document; no audio.

A rival is a sound for which the label was mistaken: an event that was marked wrong.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.config.validators import ID
from monitor.detection.quantised import restored
from monitor.system.bounded_read import DamagedError
from monitor.types import Embeddings

MOST_EXAMPLES = 32
"""Examples of a label; with 32 the prompts weigh 1/9, and a document fits into a request."""

MOST_RIVALS = 8
"""Rivals of a label; the oldest make room."""

LONGEST_ORIGIN = 120
"""Characters."""

_LARGEST_DIMENSION = 4096
_SCHEMA = 1


def _none() -> NDArray[np.int16]:
    return np.empty((0, 0), dtype=np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What was shown of the sound of one label, and of others that are not it."""

    label: str
    """Identifier of the label."""
    identity: str
    """Of the checkpoint: another one has other embeddings."""
    rows: NDArray[np.int16]
    """One quantised embedding for each example, shape (k, d); none if there are rivals only."""
    origins: tuple[str, ...]
    """Where each example is from: the name of a file, an event, or a source."""
    rivals: NDArray[np.int16] = field(default_factory=_none)
    """One quantised embedding for each rival, shape (r, d)."""
    rival_origins: tuple[str, ...] = ()
    """Where each rival is from."""

    @property
    def embeddings(self) -> Embeddings:
        """Unit vectors, shape (k, d)."""
        return restored(self.rows)

    @property
    def fingerprint(self) -> str:
        """Hash of the embeddings: a baseline belongs to it."""
        rivals = b"rivals" + self.rivals.tobytes() if len(self.rivals) else b""
        return hashlib.sha256(self.identity.encode() + self.rows.tobytes() + rivals).hexdigest()[:16]

    @property
    def only_rivals(self) -> Examples:
        """The rivals, without the examples."""
        return replace(self, rows=self.rows[:0], origins=())

    def document(self) -> dict[str, Any]:
        """Return the examples as values that JSON can hold."""
        rivals = _entries(self.rivals, self.rival_origins)
        return {
            "schema": _SCHEMA,
            "label": self.label,
            "checkpoint": self.identity,
            "examples": _entries(self.rows, self.origins),
            **({"rivals": rivals} if rivals else {}),
        }


def added(known: Examples | None, new: Examples) -> Examples:
    """Return the known examples and rivals, and the new ones; of too many, the oldest are dropped.

    Those of another checkpoint are dropped as well, and an embedding that is known already is not repeated.
    """
    if known is None or known.identity != new.identity or known.rows.shape[1] != new.rows.shape[1]:
        return new
    rows, origins = _joined([(each.rows, each.origins) for each in (known, new)], MOST_EXAMPLES)
    rivals = _joined([(each.rivals, each.rival_origins) for each in (known, new)], MOST_RIVALS)
    return Examples(new.label, new.identity, rows.reshape(-1, new.rows.shape[1]), origins, *rivals)


def as_rivals(examples: Examples) -> Examples:
    """Return examples as rivals: what was shown is not the sound of the label."""
    rivals = replace(examples, rivals=examples.rows, rival_origins=examples.origins)
    return rivals.only_rivals


def without_rival(examples: Mapping[str, Examples], label: str, origin: str) -> Mapping[str, Examples]:
    """Return examples by label without the rivals of a label from one origin; the same if there are none."""
    known = examples.get(label)
    if known is None or origin not in known.rival_origins:
        return examples
    kept = [place for place, each in enumerate(known.rival_origins) if each != origin]
    origins = tuple(known.rival_origins[place] for place in kept)
    rest = counted(replace(known, rivals=known.rivals[kept], rival_origins=origins), with_examples=True)
    others = {id_: each for id_, each in examples.items() if id_ != label}
    return others if rest is None else {**others, label: rest}


def counted(examples: Examples | None, *, with_examples: bool) -> Examples | None:
    """Return what counts for a label: its rivals, and its examples if it uses them; None if nothing."""
    if examples is None:
        return None
    found = examples if with_examples else examples.only_rivals
    return found if len(found.rows) or len(found.rivals) else None


def _joined(
    parts: Sequence[tuple[NDArray[np.int16], Sequence[str]]], most: int
) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Return the newest rows, each once, and where they are from."""
    rows: dict[bytes, tuple[NDArray[np.int16], str]] = {}
    for each, origins in parts:
        rows |= {row.tobytes(): (row, origin) for row, origin in zip(each, origins, strict=True)}
    kept = list(rows.values())[-most:]
    stacked = np.stack([row for row, _ in kept]) if kept else _none()
    return stacked, tuple(origin for _, origin in kept)


def _entries(rows: NDArray[np.int16], origins: Sequence[str]) -> list[dict[str, str]]:
    return [
        {"origin": origin, "embedding": base64.b64encode(row.tobytes()).decode()}
        for origin, row in zip(origins, rows.astype("<i2"), strict=True)
    ]


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
    label, identity = found.get("label"), found.get("checkpoint")
    if not isinstance(label, str) or not re.fullmatch(ID, label):
        raise DamagedError("label is not the identifier of a label")
    if not isinstance(identity, str) or not 0 < len(identity) <= LONGEST_ORIGIN:
        raise DamagedError("checkpoint is not the identity of a checkpoint")
    rivals, rival_origins = _parsed(found.get("rivals", []), "rivals", MOST_RIVALS)
    rows, origins = _parsed(found.get("examples"), "examples", MOST_EXAMPLES)
    if not len(rows) and not len(rivals):
        raise DamagedError(f"examples: must be a list of 1 to {MOST_EXAMPLES} entries")
    dimensions = {each.shape[1] for each in (rows, rivals) if len(each)}
    if len(dimensions) > 1:
        raise DamagedError("examples: the embeddings differ in length")
    return Examples(label, identity, rows.reshape(-1, *dimensions), origins, rivals, rival_origins)


def _parsed(entries: object, what: str, most: int) -> tuple[NDArray[np.int16], tuple[str, ...]]:
    """Return the embeddings of a list in a document, shape (n, d), and where they are from."""
    if not isinstance(entries, list) or len(entries) > most:
        raise DamagedError(f"{what}: must be a list of 1 to {most} entries")
    parts = [_mapping(entry, f"{what}[{place}]") for place, entry in enumerate(entries)]
    origins = [part.get("origin") for part in parts]
    if not all(isinstance(each, str) and len(each) <= LONGEST_ORIGIN for each in origins):
        raise DamagedError(f"{what}: an origin is not text of at most {LONGEST_ORIGIN} characters")
    rows = [_row(part.get("embedding"), f"{what}[{place}].embedding") for place, part in enumerate(parts)]
    if len({len(row) for row in rows}) > 1:
        raise DamagedError(f"{what}: the embeddings differ in length")
    return np.stack(rows) if rows else _none(), tuple(map(str, origins))


def _row(text: object, where: str) -> NDArray[np.int16]:
    """Return one embedding, which must be a unit vector, shape (d,)."""
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
        raise DamagedError(f"{where} is not a unit vector: its length is {length:.3g}")
    return row


def _mapping(content: object, what: str) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise DamagedError(f"{what} is not a mapping")
    return content
