"""Qualification of a checkpoint: runs the calibration kit through the parts that `run` has.

Cohort, calibration and figures are measured with the length and hop of windows that are configured, so that a
score of 0.5 has one false alarm an hour and label for any checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.config import LabelConfig
from monitor.config.default_labels import BACKGROUND
from monitor.detection.calibration import QUANTILE, Calibration
from monitor.detection.cohort import Cohort, cohort_of
from monitor.detection.engine import Engine
from monitor.detection.prototypes import build_prototypes
from monitor.detection.qualification import Figures, Qualification, Setup
from monitor.detection.rules import rule_of
from monitor.evaluation.calibration_fit import corrected, first_guess
from monitor.evaluation.calibration_kit import Kit, KitClip
from monitor.evaluation.calibration_scenes import SceneOptions, calibration_scenes
from monitor.evaluation.kit_figures import auroc_of, false_alarms_of, recall_of
from monitor.evaluation.kit_windows import WindowEmbedder, clip_windows, event_windows, windows_in
from monitor.evaluation.qualified_engine import Progress
from monitor.evaluation.remembered_scenes import RememberedScene, counted, margins_of, replay_scene, tail_of
from monitor.evaluation.threshold_sweep import Sweep
from monitor.model.clap import WARM_UPS, Clap
from monitor.types import Embeddings

MOST_SECONDS = 270.0
"""Time for the model; decoding, mixing and counting come on top."""

MOST_WINDOWS = 2_000
"""With more the figures hardly change, and a fast model is done in 20 s."""

MOST_SCENE_SECONDS = 900.0
"""Mixing takes time as well."""

LEAST_COHORT, LEAST_SCENE_SECONDS = 300, 360.0
"""What is measured at any rate, however long it takes: fewer windows know no tail."""

EVENTS_PER_LABEL = 2
"""Clean events of each label for the zero-shot accuracy."""

SCENE_SECONDS = 90.0
"""Length of a scene; a baseline is known after 60."""

QUIET_SHARE = 0.2
"""Share of the scenes that have no events."""


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of the kit is used."""

    cohort: int
    """Windows."""
    scenes: int
    """Those without events included."""
    events_per_label: int = EVENTS_PER_LABEL
    scene_seconds: float = SCENE_SECONDS

    def windows(self, kit: Kit, length_seconds: float, hop_seconds: float) -> int:
        """Return how many windows that is."""
        in_scene = int((self.scene_seconds - length_seconds) / hop_seconds) + 1
        return self.cohort + self.scenes * in_scene + self.events_per_label * len(kit.labels)


def affordable(kit: Kit, window_seconds: float, hop_seconds: float) -> Amount:
    """Return how much of the kit can be used in `MOST_SECONDS`.

    Parameters
    ----------
    kit : Kit
    window_seconds : float
        Time that one window takes.
    hop_seconds : float
        Time from one window of a scene to the next.
    """
    windows = min(MOST_WINDOWS, int(MOST_SECONDS / window_seconds)) - EVENTS_PER_LABEL * len(kit.labels)
    cohort = min(len(kit.cohort), max(LEAST_COHORT, windows // 2))
    seconds = min(MOST_SCENE_SECONDS, max(LEAST_SCENE_SECONDS, (windows - cohort) * hop_seconds))
    return Amount(cohort=cohort, scenes=round(seconds / SCENE_SECONDS))


def qualify(
    model: Clap,
    setup: Setup,
    kit: Kit,
    *,
    amount: Amount | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Qualification:
    """Measure how well a checkpoint tells sounds apart, and calibrate it.

    Parameters
    ----------
    model : Clap
    setup : Setup
        Of this model and kit.
    kit : Kit
    amount : Amount or None
        None for what this machine can do in `MOST_SECONDS`.
    progress : callable

    Raises
    ------
    ModelError
        The model returns no finite numbers, or the prompts cannot be embedded.
    SourceError
        The kit is missing or damaged.
    """
    rate, length, hop = model.mel_config.rate, setup.length, setup.hop
    seconds = time_of_window(model, length)
    amount = amount or affordable(kit, seconds, hop / rate)
    steps = _Steps(progress, amount.windows(kit, length / rate, hop / rate))
    embedder = WindowEmbedder(model, length, steps.done)
    labels = [LabelConfig(id=each.name, prompts=(each.sentence,)) for each in kit.labels]
    clips = _spread(kit.cohort, amount.cohort)
    texts = _embedded(model, [*_kinds(clips), *BACKGROUND, *(each.sentence for each in kit.labels)])
    cohort = _cohort(embedder, clips, kit.beds, texts)
    prototypes = build_prototypes(labels, BACKGROUND, texts, cohort.norm())
    engine = Engine(model, model.embed_log_mel, prototypes, Calibration(1.0, 0.0, 0.0), length, hop)
    zero_shot = _zero_shot(embedder, kit, prototypes.directions.vectors, amount)
    scenes = _scenes(embedder, kit, amount, hop)
    margins = [margins_of(scene, engine) for scene in scenes]
    calibration, found = fit(scenes, margins, engine, labels)
    return Qualification(
        setup=setup,
        calibration=calibration,
        cohort=cohort,
        figures=Figures(
            auroc=auroc_of(scenes, margins, found.labels, (length / rate, hop / rate)),
            recall=recall_of(found),
            false_alarms=false_alarms_of(found),
            zero_shot=zero_shot,
            window_seconds=seconds,
            cohort_windows=len(cohort.embeddings),
            scene_windows=sum(map(len, margins)),
            label_hours=float(found.hours.sum()) * len(labels),
        ),
    )


def fit(
    scenes: Sequence[RememberedScene],
    margins: Sequence[NDArray[np.float32]],
    engine: Engine,
    labels: Sequence[LabelConfig],
) -> tuple[Calibration, Sweep]:
    """Fit the calibration on scenes, and count what is found with it.

    Parameters
    ----------
    scenes : sequence of RememberedScene
    margins : sequence of array, shape (windows, labels)
        Of each scene.
    engine : Engine
        Its own calibration does not count.
    labels : sequence of LabelConfig
        Those of the scenes.
    """
    every = np.concatenate(margins)
    usual = float(np.median(np.quantile(every, QUANTILE, axis=0)))
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in labels]
    tried = replace(engine, calibration=first_guess(every))
    tail = tail_of(scenes, [replay_scene(scene, tried, labels, rules) for scene in scenes], rules)
    calibration = corrected(tried.calibration, tail, usual)
    fitted = replace(engine, calibration=calibration)
    replays = [replay_scene(scene, fitted, labels, rules) for scene in scenes]
    return calibration, counted(scenes, replays, rules, 0.0)


def time_of_window(model: Clap, length: int) -> float:
    """Return the seconds that a window takes, whatever else the machine does."""
    times = []
    for _ in range(2):
        wall, processor = time.perf_counter(), time.process_time()
        model.warm_up(length)
        # Of several threads the wall clock counts, on a busy machine the processor's time.
        times += [time.perf_counter() - wall, time.process_time() - processor]
    return max(1e-4, min(times) / WARM_UPS)


class _Steps:
    """Counts windows for whoever waits.

    Parameters
    ----------
    progress : callable
    of : int
        Windows in all.
    """

    def __init__(self, progress: Progress, of: int) -> None:
        self._progress, self._done, self._of = progress, 0, of

    def done(self, windows: int) -> None:
        """Count windows that have been embedded."""
        self._done = min(self._done + windows, self._of)
        self._progress(self._done, self._of)


def _embedded(model: Clap, prompts: Sequence[str]) -> Callable[[Sequence[str]], Embeddings]:
    """Embed prompts, and free the text encoder, which may be the larger half; return what looks them up."""
    texts = list(dict.fromkeys(prompts))
    rows = dict(zip(texts, model.embed_text(texts, keep=False), strict=True))
    model.forget_text()
    return lambda wanted: np.array([rows[text] for text in wanted]).reshape(-1, model.dimension)


def _spread(clips: Sequence[KitClip], count: int) -> list[KitClip]:
    """Choose this many clips, evenly spread."""
    places = np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int)
    return [clips[place] for place in places]


def _kinds(clips: Sequence[KitClip]) -> list[str]:
    """Return the known kinds of sound of clips."""
    return sorted({clip.name for clip in clips if clip.name})


def _cohort(
    embedder: WindowEmbedder,
    clips: Sequence[KitClip],
    beds: Sequence[KitClip],
    texts: Callable[[Sequence[str]], Embeddings],
) -> Cohort:
    """Embed a window for each clip."""
    kinds = _kinds(clips)
    vectors = embedder.embed(clip_windows(clips, beds, embedder.rate, embedder.length))
    places = [kinds.index(clip.name) if clip.name else -1 for clip in clips]
    return cohort_of(vectors, places, kinds, texts(kinds))


def _zero_shot(embedder: WindowEmbedder, kit: Kit, texts: Embeddings, amount: Amount) -> float:
    """Return the share of clean events whose own label's prompt is the nearest."""
    names = [label.name for label in kit.labels]
    events = [
        event
        for name in names
        for event in [each for each in kit.events if each.label == name][: amount.events_per_label]
    ]
    vectors = embedder.embed(event_windows(events, embedder.rate, embedder.length))
    nearest = (vectors @ texts.T).argmax(axis=1)
    return float(np.mean([names[place] == event.label for place, event in zip(nearest, events, strict=True)]))


def _scenes(embedder: WindowEmbedder, kit: Kit, amount: Amount, hop: int) -> list[RememberedScene]:
    """Mix the scenes, one after the other, and embed their windows."""
    quiet = max(1, round(QUIET_SHARE * amount.scenes))
    options = SceneOptions(
        scenes=max(1, amount.scenes - quiet), quiet_scenes=quiet, seconds=amount.scene_seconds
    )
    return [
        RememberedScene(
            embedder.embed(windows_in(scene.samples, embedder.length, hop), hop),
            scene.occurrences,
            amount.scene_seconds,
        )
        for scene in calibration_scenes(kit, embedder.rate, options)
    ]
