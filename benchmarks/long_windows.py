"""Novelty gate on windows of five seconds, one every second, judged by what the starter hears in them.

    python -m benchmarks.long_windows --scenes DAYS/room --labels benchmarks/field_scenes.yaml
                                      [--without LABEL ...] [--every 1]

No full-size checkpoint comes with the monitor, and one with random weights hears nothing.  The embedding of a
window here is the mean of those that the starter gives its five seconds, each at the reference level: the
towers of large checkpoints, too, average over time.  The calibration is measured on the calibration kit, as
that of any checkpoint; the gate sees the spectrograms of ``laion/larger_clap_general``.  Printed is what
`benchmarks.unchanged` prints, and the latency at the default threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.trial import recordings_in
from benchmarks.unchanged import REUSE_SECONDS, report
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.ffmpeg import decode
from monitor.config import Config, LabelConfig, load
from monitor.config.default_labels import BACKGROUND
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.calibration import Calibration
from monitor.detection.cohort import cohort_of
from monitor.detection.engine import Engine
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.prototypes import build_prototypes
from monitor.detection.rules import Rule, rule_of
from monitor.detection.scorer import Scorer
from monitor.evaluation.annotations import Recording
from monitor.evaluation.calibration_kit import Kit, read_kit
from monitor.evaluation.calibration_scenes import SceneOptions, calibration_scenes
from monitor.evaluation.kit_qualification import fit
from monitor.evaluation.kit_windows import clip_windows, windows_in
from monitor.evaluation.remembered_scenes import RememberedScene, margins_of
from monitor.evaluation.replay import Replay, analysed
from monitor.model.clap import Clap
from monitor.model.log_mel import Power
from monitor.model.mel_config import MelConfig, mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Embeddings, Samples, Window

SECONDS = 5
LARGE = mel_config_of({"truncation": "rand_trunc", "frequency_min": 50})
"""As ``laion/larger_clap_general`` has it."""

COHORT, SCENES, QUIET_SCENES, SCENE_SECONDS = 400, 10, 2, 90.0
"""How much of the kit is used, as for a checkpoint that takes 0.2 s for a window."""


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """Embeds the windows of one recording; stands for spectrograms."""

    clap: Clap
    cache: SpectrogramCache = field(default_factory=lambda: SpectrogramCache(LARGE))
    known: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """Embedding of each second, by its first sample."""

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        """Embedding of a window, shape (d,)."""
        rate = self.clap.mel_config.rate
        parts = [self._second(window, number * rate, rate) for number in range(SECONDS)]
        mean = np.mean(parts, axis=0)
        unit: NDArray[np.float32] = (mean / np.linalg.norm(mean)).astype(np.float32)
        return unit

    def inner(self, window: Window) -> Power:
        """Mel power of the frames inside the window, for the gate."""
        return self.cache.inner(window)

    def _second(self, window: Window, begin: int, rate: int) -> NDArray[np.float32]:
        start = window.start + begin
        if start not in self.known:
            second = Window(window.source, start, window.samples[begin : begin + rate], 0.0)
            spectrogram = SpectrogramCache(self.clap.mel_config).log_mel(second)
            self.known[start] = self.clap.embed_log_mel(spectrogram[None])[0]
        return self.known[start]


@dataclass(frozen=True, slots=True)
class Stand:
    """What an engine asks of its model when embeddings come from elsewhere."""

    name: str = "the starter, five seconds at once"
    device: str = "cpu"
    mel_config: MelConfig = LARGE


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """The configuration, the engine and the recordings, for `benchmarks.unchanged.report`."""

    config: Config
    engine: Engine
    clap: Clap
    recordings: tuple[Recording, ...]
    ears: dict[Path, Ear] = field(default_factory=dict)
    """By recording, so that the second run embeds nothing again."""

    def rules(self) -> list[Rule]:
        """Rules of the labels."""
        return [rule_of(label, rate=self.engine.rate, hop=self.engine.hop) for label in self.config.labels]

    def replays(self, rules: Sequence[Rule]) -> list[Replay]:
        """Replay every recording."""
        return [self._replay(recording.path, rules) for recording in self.recordings]

    def _replay(self, path: Path, rules: Sequence[Rule]) -> Replay:
        name, engine, reuse = "recording", self.engine, self.config.window.reuse_seconds
        samples = decode(path, engine.rate)
        scorer = Scorer(
            engine,
            ActiveLabels(self.config.labels, (name,), silence_dbfs=self.config.silence_dbfs),
            {name: SourceStatus(name)},
            gate=NoveltyGate(LARGE, engine.hop_of, reuse) if reuse else None,
            spectrograms=self.ears.setdefault(path, Ear(self.clap)),
        )
        steps = (
            [Window(name, number * engine.hop, window, number * engine.hop / engine.rate)]
            for number, window in enumerate(windows_in(samples, engine.length, engine.hop))
        )
        scores, events = analysed(steps, scorer, rules, engine.rate)
        return Replay(len(samples) / engine.rate, scores, events)


def main() -> None:
    """Replay twice and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True, help="configuration with the labels")
    parser.add_argument("--without", nargs="*", default=[], help="labels that are left out")
    parser.add_argument("--every", type=int, default=1, help="take only every so many recordings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = load(arguments.labels)
    labels = tuple(label for label in config.labels if label.id not in arguments.without)
    config = config.model_copy(update={"labels": labels})
    clap = Clap.load("starter")
    engine = calibrated(clap, config, read_kit())
    judge = Judge(config, engine, clap, recordings_in(arguments.scenes)[:: arguments.every])
    for reuse in (0.0, REUSE_SECONDS):
        window = config.window.model_copy(update={"reuse_seconds": reuse})
        one = replace(judge, config=config.model_copy(update={"window": window}))
        rules = one.rules()
        report(one.recordings, one.replays(rules), rules, f"reuse_seconds {reuse:g}")


def calibrated(clap: Clap, config: Config, kit: Kit) -> Engine:
    """Return an engine with the cohort and the calibration of these windows, measured on the kit."""
    rate = clap.mel_config.rate
    length, hop = SECONDS * rate, rate
    clips = kit.cohort[:: max(1, len(kit.cohort) // COHORT)]
    kinds = sorted({clip.name for clip in clips if clip.name})
    rows = embedded(clap, clip_windows(clips, kit.beds, rate, length), length)
    places = [kinds.index(clip.name) if clip.name else -1 for clip in clips]
    norm = cohort_of(rows, places, kinds, clap.embed_text(kinds)).norm()
    labels = [LabelConfig(id=each.name, prompts=(each.sentence,)) for each in kit.labels]
    engine = Engine(
        cast("Clap", Stand()),
        lambda embeddings: embeddings,  # `Ear` gives them instead of spectrograms
        build_prototypes(labels, BACKGROUND, clap.embed_text, norm),
        Calibration(1.0, 0.0, 0.0),
        length,
        hop,
        cohort_norm=norm,
    )
    options = SceneOptions(scenes=SCENES - QUIET_SCENES, quiet_scenes=QUIET_SCENES, seconds=SCENE_SECONDS)
    scenes = [
        RememberedScene(
            embedded(clap, windows_in(scene.samples, length, hop), hop), scene.occurrences, SCENE_SECONDS
        )
        for scene in calibration_scenes(kit, rate, options)
    ]
    calibration, _ = fit(scenes, [margins_of(scene, engine) for scene in scenes], engine, labels)
    prototypes = build_prototypes(config.labels, config.background, clap.embed_text, norm)
    return replace(engine, prototypes=prototypes, calibration=calibration)


def embedded(clap: Clap, windows: Iterable[Samples], hop: int) -> Embeddings:
    """Embed windows of which each begins so many samples after the one before, shape (windows, d)."""
    ear = Ear(clap)
    rows = [ear.log_mel(Window("kit", number * hop, samples, 0.0)) for number, samples in enumerate(windows)]
    return np.stack(rows)


if __name__ == "__main__":
    main()
