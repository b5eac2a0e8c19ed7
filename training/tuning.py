"""The light test by which the recipe is chosen: clips held back, never fold 4 or eval-dev."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.bank import Bank
from training.metrics import auroc, average_precision
from training.phrases import QUESTIONS
from training.sounds import Sound
from training.store import HeldBack


@dataclass(frozen=True)
class Light:
    """Figures of the light test, each between 0 and 1."""

    plain: float
    """Accuracy on the held-back ESC-10 clips, ten plain sentences."""
    paraphrased: float
    """The same with three other sentences for each class, mean."""
    ranking: float
    """AUROC of every label with a held-back clip, against all others, mean."""
    precision: float
    """Average precision of the same, mean."""

    def __str__(self) -> str:
        """One line for the log."""
        return (
            f"plain {self.plain:.3f} paraphrased {self.paraphrased:.3f} "
            f"AUROC {self.ranking:.3f} mAP {self.precision:.3f}"
        )


def light_test(
    clips: Sequence[HeldBack],
    sounds: npt.NDArray[np.float32],
    sentences: npt.NDArray[np.float32],
    bank: Bank,
    labels: Sequence[Sound],
) -> Light:
    """Ask the tuning questions.

    Parameters
    ----------
    clips
        The tuning set.
    sounds
        Their embeddings, shape (clips, DIM).
    sentences
        Embeddings of all phrases of the bank, shape (phrases, DIM).
    """
    table = tomllib.loads(QUESTIONS.read_text())
    ten = list(table["plain"])
    own = np.array([clip.label for clip in clips])
    esc = np.array([clip.source == "esc10" for clip in clips])
    truth = np.array([ten.index(label) for label in own[esc]])
    asked = [[table["plain"][label] for label in ten]]
    asked += [[table["tuning"][label][i] for label in ten] for i in range(3)]
    right = [float(np.mean((sounds[esc] @ sentences[bank.find(ask)].T).argmax(1) == truth)) for ask in asked]
    counted = Counter(own)
    named = [sound for sound in labels if sound.name in counted]
    first = bank.find([sound.phrases[0] for sound in named])
    scores = sounds @ sentences[first].T
    flags = [own == sound.name for sound in named]
    return Light(
        right[0],
        float(np.mean(right[1:])),
        float(np.mean([auroc(scores[:, i], flag) for i, flag in enumerate(flags)])),
        float(np.mean([average_precision(scores[:, i], flag) for i, flag in enumerate(flags)])),
    )
