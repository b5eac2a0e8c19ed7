"""Vocabulary: sentences about everyday sounds; the nearest ones describe a sound."""

from __future__ import annotations

from functools import cache

import numpy as np

from monitor.config.default_labels import BACKGROUND, SOUNDS, SPEECH, VOICES
from monitor.config.prompt_packs import PACKS, pack_labels
from monitor.detection.prototypes import Directions
from monitor.types import Embeddings

NEAREST = 3
"""Sentences that describe a sound."""


@cache
def vocabulary() -> tuple[str, ...]:
    """Return the sentences: the prompts of the default labels, of all packs, of speech and of backgrounds."""
    packs = [prompt for pack in PACKS for label in pack_labels(pack) for prompt in label["prompts"]]
    defaults = [prompt for prompts in SOUNDS.values() for prompt in prompts]
    return tuple(dict.fromkeys([*defaults, *packs, *SPEECH, *VOICES, *BACKGROUND]))


def nearest_sentences(embedding: Embeddings, sentences: tuple[str, ...], directions: Directions) -> list[str]:
    """Return the sentences that describe a sound best, best first.

    Parameters
    ----------
    embedding : array, shape (d,)
    sentences : tuple of str
    directions : Directions
        Of the sentences.
    """
    return [sentences[place] for place in np.argsort(-directions.z_scores(embedding))[:NEAREST].tolist()]
