"""Phrasings: how well the prompts of each pack's label tell its sound from all others, on clips in ambience.

    python -m benchmarks.phrasings --data ../shared/data --half test [--seed 1]

Clips of one half of ``field-dev`` and ``eval-dev`` (phrasings may be chosen on ``tuning``) are laid into
a bed of ``field-dev`` at 5 to 15 dB.  A clip counts with its best window.  Prints for each label AUROC and
the share of its clips that are above 99 % of all others, with the prompts of the pack and with its first
prompt alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import field_scenes, scene_sources
from benchmarks.packs import every_pack
from benchmarks.scene_sources import RATE, Samples, at_rms, read_mono
from monitor.config import LabelConfig
from monitor.detection.engine import Engine
from monitor.evaluation.clip_metrics import auroc
from monitor.evaluation.kit_windows import WindowEmbedder, windows_in
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.types import Embeddings

CLIPS: Mapping[str, tuple[str, ...]] = {
    "smoke_alarm": ("smoke_alarm", "alarm_beep"),
    "glass_breaking": ("glass_breaking", "glass_break"),
    "scream": ("scream",),
    "gunshot": ("gunshot",),
    "baby_cry": ("baby_cry",),
    "coughing": ("coughing", "cough"),
    "snoring": ("snoring",),
    "doorbell": ("doorbell",),
    "knocking": ("knocking", "door_knock"),
    "door_slam": ("door_slam", "door"),
    "dog_bark": ("dog_bark",),
    "cat_meow": ("cat_meow",),
    "rooster": ("rooster",),
    "hen": ("hen", "chicken"),
    "kettle": ("boiling_water",),
    "microwave": ("microwave",),
    "blender": ("blender", "juicer"),
    "vacuum_cleaner": ("vacuum",),
    "water_running": ("water_running",),
    "telephone": ("telephone", "telephone_ring"),
    "siren": ("siren",),
    "car_horn": ("car_horn",),
    "thunder": ("thunder",),
    "helicopter": ("helicopter",),
    "bird_song": ("bird", "bird_chirp"),
    "footsteps": ("footsteps",),
    "engine_starting": ("car_engine",),
    "keys_jangling": ("keys",),
}
"""Labels of the clips that hold the sound of a pack's label; of the others there are none."""

LONGEST_SECONDS = 4
_BED_RMS = 0.03
_TOP = 0.99


def main() -> None:
    """Measure every label."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--half", choices=("tuning", "test"), default="test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--state", type=Path, default=Path("state"))
    arguments = parser.parse_args()
    config = every_pack("starter", arguments.state)
    engine = load_qualified_engine(config)
    names, embeddings = embedded(arguments.data, arguments.half, arguments.seed, engine)
    labels = {label.id: label for label in config.labels}
    rows = []
    for id_, kinds in CLIPS.items():
        one = labels[id_].model_copy(update={"prompts": labels[id_].prompts[:1]})
        present = np.isin(names, kinds)
        if not present.any():
            continue
        figures = [figures_of(each, present, embeddings, engine) for each in (labels[id_], one)]
        rows.append(figures)
        (area, found), (area_of_one, found_of_one) = figures
        print(
            f"{id_}: {present.sum()} clips, AUROC {area:.3f}, found {found:.2f}; "
            f"first prompt alone {area_of_one:.3f}, {found_of_one:.2f}",
            flush=True,
        )
    (area, found), (area_of_one, found_of_one) = np.mean(rows, axis=0)
    print(
        f"mean of {len(rows)} labels, {len(names)} clips: AUROC {area:.3f}, found {found:.3f}; "
        f"first prompt alone {area_of_one:.3f}, {found_of_one:.3f}"
    )


def embedded(
    data: Path, half: scene_sources.Half, seed: int, engine: Engine
) -> tuple[NDArray[np.str_], list[Embeddings]]:
    """Return the label and the embeddings of every clip of a half, in ambience."""
    random = np.random.default_rng([seed, half == "test"])
    field = field_scenes.split(field_scenes.read_clips(data / "field-dev"), half, seed)
    plain = scene_sources.split(scene_sources.read_clips(data), half, seed)
    beds = [
        field_scenes.part_of(read_mono(path), half) for path in sorted((data / "field-dev/beds").glob("*"))
    ]
    embedder = WindowEmbedder(engine.model, engine.length)
    names, embeddings = [], []
    for found in (field, plain):
        for label, clips in found.items():
            for clip in () if label.startswith("bed") else clips:
                audio = in_bed(read_mono(clip.path), beds[int(random.integers(len(beds)))], random)
                embeddings.append(embedder.embed(windows_in(audio, engine.length, engine.hop), engine.hop))
                names.append(label)
    return np.array(names), embeddings


def in_bed(clip: Samples, bed: Samples, random: np.random.Generator) -> Samples:
    """Return a clip with half a second of ambience before and after it."""
    clip = clip[: LONGEST_SECONDS * RATE]
    out = at_rms(np.resize(np.roll(bed, -int(random.integers(len(bed)))), len(clip) + RATE), _BED_RMS)
    loud = clip[np.abs(clip) > 0.05 * np.abs(clip).max()]  # not its pauses
    gain = _BED_RMS * 10 ** (random.uniform(5, 15) / 20) / float(np.sqrt(np.mean(np.square(loud))))
    out[RATE // 2 : RATE // 2 + len(clip)] += gain * clip
    return out


def figures_of(
    label: LabelConfig, present: NDArray[np.bool_], embeddings: list[Embeddings], engine: Engine
) -> tuple[float, float]:
    """Return AUROC, and the share of the clips with the sound that are above 99 % of the others."""
    prototypes = engine.build_prototypes([label], ())
    best = np.array(
        [max(float(prototypes.directions.z_scores(row)[0]) for row in rows) for rows in embeddings]
    )
    return auroc(present, best), float(np.mean(best[present] > np.quantile(best[~present], _TOP)))


if __name__ == "__main__":
    main()
