"""A checkpoint made ready for a configuration: what the analysis needs of both."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from monitor.audio.level import to_reference
from monitor.config import SPEECH, Config, LabelConfig
from monitor.detection import scoring
from monitor.detection.cohort_norm import CohortNorm, read_cohort_norm
from monitor.detection.prototypes import Prototypes, watch
from monitor.detection.scoring import Calibration
from monitor.model.clap import WARM_UPS, Clap
from monitor.model.log_mel import check_window
from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.system.cpu import free_cores
from monitor.types import ConfigError, Embeddings, ModelError, Samples

log = logging.getLogger(__name__)

_WORTH_IT = 0.8
"""Another thread must take the time to this share of what it was."""


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """Everything between a window and its scores."""

    model: Clap
    prototypes: Prototypes
    response: Calibration
    length: int
    """Samples in a window."""
    hop: int
    """Samples between two windows, of sources that have no hop of their own."""
    cohort_norm: CohortNorm | None = None
    speech: tuple[str, ...] = ()
    """Sentences for people speaking, if that is to be told."""

    def watch(self, labels: Sequence[LabelConfig], background: Sequence[str]) -> Prototypes:
        """Embed sentences, with the text tower only if it must; another thread may embed audio meanwhile.

        Raises
        ------
        ModelError
            The text tower cannot be loaded.
        """
        try:
            return watch(labels, background, self.model.embed_text, self.cohort_norm, speech=self.speech)
        finally:
            self.model.forget_text()

    def windows_in(self, seconds: float) -> int:
        """Windows that begin in so many seconds."""
        return round(seconds * self.rate / self.hop)

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self.model.mel_config.rate


def prepare(config: Config, *, apart: bool = True) -> Engine:
    """Load and try the model, embed every sentence, then free the text tower.

    Parameters
    ----------
    config : Config
    apart : bool
        Whether sentences are read in a process of their own, now and later.

    Raises
    ------
    ConfigError
        If the hop is longer than the window.
    ModelError
        If the checkpoint cannot be loaded, collapses, or cannot take the configured window.
    """
    model = Clap.configured(config.model, config.state / "prompts", apart=apart)
    length, hop = window_of(config, model)
    model.warm_up(length)
    model.self_test()
    if config.model.threads is None:
        hops = hops_of(config, length=length, hop=hop, rate=model.mel_config.rate)
        budget = 1 / sum(model.mel_config.rate / own for own in hops.values())
        enough_threads(model, budget, free_cores, partial(_window_seconds, model, length))
    cohort_norm = read_cohort_norm(model.path, model.dimension)
    speech = SPEECH if config.clips.enabled and config.clips.speech_guard else ()
    prototypes = watch(config.labels, config.background, model.embed_text, cohort_norm, speech=speech)
    response = scoring.read_calibration(model.path) or _estimated(model, config, length, cohort_norm)
    model.forget_text()
    return Engine(model, prototypes, response, length, hop, cohort_norm, speech)


def enough_threads(
    model: Clap, budget_seconds: float, cores: Callable[[], int], window_seconds: Callable[[], float]
) -> int:
    """Use the fewest threads with which windows take half of their time; as many as help if none suffice.

    One is the cheapest.  Several are faster, but wait for each other, and lose much more than they gain
    as soon as something else wants a core.

    Parameters
    ----------
    model : Clap
    budget_seconds : float
        Time between two windows.
    cores : callable
        How many threads there may be.
    window_seconds : callable
        Time that a window takes now.
    """
    chosen, shortest = 1, float("inf")
    for threads in range(1, cores() + 1):
        model.use_threads(threads)
        seconds = min(window_seconds() for _ in range(3))
        if seconds < _WORTH_IT * shortest:
            chosen, shortest = threads, seconds
        if shortest <= budget_seconds / 2:
            break
    model.use_threads(chosen)
    if chosen > 1:
        log.info("%d threads: one takes more than half of the time between two windows", chosen)
    return chosen


def _window_seconds(model: Clap, length: int) -> float:
    begin = time.perf_counter()
    model.warm_up(length)
    return (time.perf_counter() - begin) / WARM_UPS


def hops_of(config: Config, *, length: int, hop: int, rate: int) -> dict[str, int]:
    """Return the hop of each source, in samples.

    Raises
    ------
    ConfigError
        If one is longer than the window.
    """
    hops = {
        source.name: hop if source.hop_seconds is None else round(source.hop_seconds * rate)
        for source in config.sources
    }
    for name, own in hops.items():
        if not 0 < own <= length:
            raise ConfigError(
                f"source {name}: hop_seconds: {own / rate:g} leaves audio unheard between windows of "
                f"{length / rate:g} s; choose at most that"
            )
    return hops


def window_of(config: Config, model: Clap) -> tuple[int, int]:
    """Return the length and the hop of windows, in samples."""
    mel_config = model.mel_config
    seconds = config.window.seconds
    length = mel_config.usual_window if seconds is None else round(seconds * mel_config.rate)
    check_window(length, mel_config)
    hop = round(config.window.hop(length / mel_config.rate) * mel_config.rate)
    if not 0 < hop <= length:
        raise ConfigError(
            f"window.hop_seconds: {config.window.hop_seconds} leaves audio unheard between windows of "
            f"{length / mel_config.rate:g} s; choose at most that"
        )
    return length, hop


def _estimated(model: Clap, config: Config, length: int, cohort_norm: CohortNorm | None) -> Calibration:
    """Response of a checkpoint that brings none, from sounds made here; kept in the state directory."""
    sentences = [*scoring.STANDARD_SENTENCES, *config.background]
    known = [
        model.identity,
        str(length),
        "" if cohort_norm is None else cohort_norm.directions.tobytes().hex(),
    ]
    key = hashlib.sha256("\0".join([*known, *sentences]).encode()).hexdigest()[:16]
    path = config.state / "responses" / f"{key}.json"
    try:
        return scoring.calibration_of(read_json(path, scoring.MOST_BYTES), str(path))
    except FileNotFoundError:
        log.info("%s brings no detection.json: its response is estimated, once", model.name)
    except ModelError as error:
        log.warning("%s: it is estimated anew", error)
    except (OSError, DamagedError) as error:
        log.warning("%s: %s: the response is estimated anew", path, explain(error))
    standard = [LabelConfig(id=f"s{i}", prompts=(text,)) for i, text in enumerate(scoring.STANDARD_SENTENCES)]
    prototypes = watch(standard, config.background, model.embed_text, cohort_norm)
    response = scoring.estimate_calibration(
        np.stack([scoring.margins(row, prototypes) for row in embed_background(model, length)])
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps({name: getattr(response, name) for name in Calibration.__slots__})
        write_atomic(path, content.encode())
    except OSError as error:
        log.warning("%s: cannot be kept: %s", path, error.strerror)
    return response


def embed_background(model: Clap, length: int) -> Embeddings:
    """Embeddings of a room's ordinary sounds, made here, shape (sounds, d)."""
    return np.concatenate(
        [model.embed_audio(sound[None]) for sound in _background(length, model.mel_config.rate)]
    )


def _background(length: int, rate: int) -> list[Samples]:
    """Noise of three colours, mains hum, a fan, and drips, each at the reference level."""
    random = np.random.default_rng(0)
    time = np.arange(length) / rate
    white = random.standard_normal(length)
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / rate), 20.0)
    pink, brown = (np.fft.irfft(spectrum / frequency**slope, length) for slope in (0.5, 1.0))
    hum = sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3, 5)) + 0.01 * white
    fan = brown / brown.std() + 0.3 * np.sin(2 * np.pi * 117 * time)
    drips = 0.01 * pink / pink.std()
    drips[:: max(1, rate // 2)] += 1.0
    sounds = (white, pink, brown, hum, fan, drips)
    return [to_reference(np.asarray(sound, dtype=np.float32)) for sound in sounds]
