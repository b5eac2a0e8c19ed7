"""Speech filter: what it finds, and what it takes for speech that is none.

    python -m benchmarks.speech_filter [CHECKPOINT] --data ../shared/data

Dev clips in windows half a second apart: of people speaking; of every other sound with them speaking beneath
it, as loud or 6 dB below; of every other sound alone.  Prints in how many of the clips, and of their windows,
the guard hears speech.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.scene_sources import RATE, Samples, load, read_clips
from benchmarks.trial import LABELS
from monitor.audio.level import gate, to_reference
from monitor.config import SPEECH
from monitor.config import load as read_config
from monitor.detection import scoring
from monitor.detection.prototypes import Prototypes, build_prototypes
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.model.clap import Clap

STEP = RATE // 2
SILENCE_DBFS = -50.0
BATCH = 16
SHORTEST = 3 * STEP
"""Samples of a clip beneath which somebody speaks."""

BELOW_DB = (0.0, 6.0)


def main() -> None:
    """Ask the guard about every window."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", nargs="?", default="starter")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    config = read_config(LABELS)
    chosen = config.model.model_copy(update={"checkpoint": arguments.checkpoint, "device": "cpu"})
    engine = load_qualified_engine(config.model_copy(update={"model": chosen}))
    model = engine.model
    prototypes = build_prototypes(config.labels, (), model.embed_text, engine.cohort_norm, speech=SPEECH)
    spoken, others = [], defaultdict(list)
    for clip in read_clips(arguments.data):
        if clip.label == "speech":
            spoken.append(load(clip))
        elif not clip.label.startswith("bed_"):
            others[clip.label].append(load(clip))
    print("speech: " + counted(heard(spoken, model, prototypes)))
    longer = [sound for several in others.values() for sound in several if len(sound) >= SHORTEST]
    for below in BELOW_DB:
        rng = np.random.default_rng(0)
        mixed = [
            sound + np.resize(spoken[rng.integers(len(spoken))], len(sound)) * np.float32(10 ** (-below / 20))
            for sound in longer
        ]
        print(f"{below:.0f} dB below another sound: " + counted(heard(mixed, model, prototypes)))
    told = {label: heard(several, model, prototypes) for label, several in others.items()}
    print("other sounds: " + counted([each for several in told.values() for each in several]))
    for label, several in told.items():
        if any(each.any() for each in several):
            print(f"  {label}: " + counted(several))


def counted(told: Sequence[npt.NDArray[np.bool_]]) -> str:
    """In how many sounds, and in how many of their windows, the guard hears speech."""
    clips, windows = sum(each.any() for each in told), np.concatenate(told)
    return f"{clips} of {len(told)} clips, {windows.mean():.3f} of {len(windows)} windows"


def heard(sounds: Sequence[Samples], model: Clap, prototypes: Prototypes) -> list[npt.NDArray[np.bool_]]:
    """For each sound, whether each of its windows that is not silent is speech."""
    told = []
    for sound in sounds:
        long = np.resize(sound, max(len(sound), RATE))  # a shorter one again and again
        windows = [long[start : start + RATE] for start in range(0, len(long) - RATE + 1, STEP)]
        loud = [to_reference(window) for window in windows if gate(window, RATE, SILENCE_DBFS) is None]
        batches = [np.stack(loud[first : first + BATCH]) for first in range(0, len(loud), BATCH)]
        embeddings = [embedding for batch in batches for embedding in model.embed_audio(batch)]
        pairs = zip(embeddings, [None, *embeddings], strict=False)
        told.append(
            np.array([scoring.is_speech(own, prototypes, before) for own, before in pairs], dtype=bool)
        )
    return told


if __name__ == "__main__":
    main()
