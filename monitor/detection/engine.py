"""Engine: the model, the prototypes of the configured labels, the calibration and the window size."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from monitor.config import SPEECH, Config, LabelConfig
from monitor.detection.calibration import Calibration, read_calibration
from monitor.detection.cohort_norm import CohortNorm, read_cohort_norm
from monitor.detection.examples import Examples
from monitor.detection.examples_file import stored_examples
from monitor.detection.prototypes import Prototypes, build_prototypes
from monitor.detection.qualification import Qualification
from monitor.model.clap import WARM_UPS, Clap
from monitor.model.log_mel import check_window
from monitor.system.cpu import free_cores
from monitor.types import ConfigError, Embeddings, ModelError

log = logging.getLogger(__name__)

AudioEncoder = Callable[[NDArray[np.float32]], Embeddings]
"""Log-mel spectrograms, shape (n, frames, mel_bins), to unit vectors, shape (n, d)."""

QualificationOf = Callable[[Clap, int, int], Qualification | None]
"""Model, and samples in a window and a hop, to its qualification; None: the checkpoint's own files hold."""

_WORTHWHILE = 0.8
"""Another thread must bring the time down to this share."""


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """Everything between a window and its scores."""

    model: Clap
    encode: AudioEncoder
    """The model's audio encoder."""
    prototypes: Prototypes
    calibration: Calibration
    length: int
    """Samples in a window."""
    hop: int
    """Samples between two windows, of sources without a hop of their own."""
    hops: Mapping[str, int] = field(default_factory=dict)
    """Samples between two windows of each configured source."""
    cohort_norm: CohortNorm | None = None
    speech: tuple[str, ...] = ()
    """Prompts for people speaking, if the clips need them."""
    qualification: Qualification | None = None
    """What the calibration is from; None: from files that came with the checkpoint."""
    examples: Mapping[str, Examples] = field(default_factory=dict)
    """Those of this checkpoint in the state directory when it was loaded, by label."""

    @property
    def rate(self) -> int:
        """Samples per second."""
        return self.model.mel_config.rate

    def hop_of(self, source: str) -> int:
        """Samples between two windows of a source."""
        return self.hops.get(source, self.hop)

    def windows_in(self, seconds: float, source: str | None = None) -> int:
        """Windows that begin in this many seconds."""
        return round(seconds * self.rate / (self.hop if source is None else self.hop_of(source)))

    def build_prototypes(
        self,
        labels: Sequence[LabelConfig],
        background: Sequence[str],
        examples: Mapping[str, Examples] | None = None,
    ) -> Prototypes:
        """Embed prompts, with the text encoder only if it must; another thread may embed audio meanwhile.

        Parameters
        ----------
        labels : sequence of LabelConfig
        background : sequence of str
        examples : mapping of str to Examples, or None
            By label; None for those with which the engine was loaded.

        Raises
        ------
        ModelError
            The text encoder cannot be loaded.
        """
        embed = self.model.embed_text
        try:
            return build_prototypes(
                labels,
                background,
                embed,
                self.cohort_norm,
                speech=self.speech,
                examples=self.examples if examples is None else examples,
            )
        finally:
            self.model.forget_text()


def load_engine(
    config: Config,
    qualification_of: QualificationOf = lambda _model, _length, _hop: None,
    *,
    apart: bool = True,
) -> Engine:
    """Load and test the model, embed every prompt, then free the text encoder.

    Parameters
    ----------
    config : Config
    qualification_of : callable
        See `monitor.evaluation.qualified_engine`, which calls this for everything but tests.
    apart : bool
        Whether the text encoder runs in its own process, now and later.

    Raises
    ------
    ConfigError
        A hop is longer than the window.
    ModelError
        The checkpoint cannot be loaded, collapses, cannot take the configured window, or has no
        calibration.
    """
    model, length, hop = load_model(config, apart=apart)
    hops = hops_by_source(config, length=length, hop=hop, rate=model.mel_config.rate)
    if not config.model.allow_unqualified:
        model.self_test()
    qualification = qualification_of(model, length, hop)
    calibration, cohort_norm = _shipped(model) if qualification is None else _measured(qualification)
    speech = SPEECH if config.clips.enabled and config.clips.speech_filter else ()
    examples = stored_examples(config.state, model.identity, model.dimension)
    prototypes = build_prototypes(
        config.labels, config.background, model.embed_text, cohort_norm, speech=speech, examples=examples
    )
    model.forget_text()
    return Engine(
        model,
        model.embed_log_mel,
        prototypes,
        calibration,
        length,
        hop,
        hops=hops,
        cohort_norm=cohort_norm,
        speech=speech,
        qualification=qualification,
        examples=examples,
    )


def load_model(config: Config, *, apart: bool = True) -> tuple[Clap, int, int]:
    """Load the model and choose its threads; return it with the length and the hop of windows, in samples.

    Parameters
    ----------
    config : Config
    apart : bool
        Whether the text encoder runs in its own process, now and later.

    Raises
    ------
    ConfigError, ModelError
        As `load_engine`.
    """
    model = Clap.configured(config.model, config.state / "prompts", apart=apart)
    rate = model.mel_config.rate
    length, hop = window_samples(config, model)
    hops = hops_by_source(config, length=length, hop=hop, rate=rate)
    model.warm_up(length)
    if config.model.threads is None:
        budget = 1 / sum(rate / own for own in hops.values())
        choose_threads(model, budget, free_cores, partial(_window_seconds, model, length))
    return model, length, hop


def _shipped(model: Clap) -> tuple[Calibration, CohortNorm | None]:
    """Return the calibration in the files beside a checkpoint."""
    calibration = read_calibration(model.path)
    if calibration is None:
        raise ModelError(f"{model.name}: has no calibration: run `clap-monitor qualify {model.name}`")
    return calibration, read_cohort_norm(model.path, model.dimension)


def _measured(qualification: Qualification) -> tuple[Calibration, CohortNorm]:
    """Return the calibration of a qualification."""
    return qualification.calibration, qualification.cohort.norm()


def choose_threads(
    model: Clap, budget_seconds: float, cores: Callable[[], int], window_seconds: Callable[[], float]
) -> int:
    """Use the fewest threads with which windows take half of their time; as many as help if none suffice.

    One is the cheapest.  Several are faster, but wait for each other, and lose much more than they gain
    as soon as another process wants a core.

    Parameters
    ----------
    model : Clap
    budget_seconds : float
        Time between two windows.
    cores : callable
        Returns the largest number of threads.
    window_seconds : callable
        Returns the time that a window takes now.
    """
    chosen, shortest = 1, float("inf")
    for threads in range(1, cores() + 1):
        model.use_threads(threads)
        seconds = min(window_seconds() for _ in range(3))
        if seconds < _WORTHWHILE * shortest:
            chosen, shortest = threads, seconds
        if shortest <= budget_seconds / 2:
            break
    model.use_threads(chosen)
    if chosen > 1:
        log.info("using %d threads: one would take more than half of the time between two windows", chosen)
    return chosen


def _window_seconds(model: Clap, length: int) -> float:
    begin = time.perf_counter()
    model.warm_up(length)
    return (time.perf_counter() - begin) / WARM_UPS


def hops_by_source(config: Config, *, length: int, hop: int, rate: int) -> dict[str, int]:
    """Return the hop of each source, in samples.

    Raises
    ------
    ConfigError
        One is longer than the window.
    """
    hops = {
        source.name: hop if source.hop_seconds is None else round(source.hop_seconds * rate)
        for source in config.sources
    }
    for name, own in hops.items():
        if not 0 < own <= length:
            raise ConfigError(f"source {name}: hop_seconds: {_too_long(own / rate, length / rate)}")
    return hops


def window_samples(config: Config, model: Clap) -> tuple[int, int]:
    """Return the length and the hop of windows, in samples.

    Raises
    ------
    ConfigError
        The hop is longer than the window.
    ModelError
        The checkpoint cannot take windows of this length.
    """
    mel_config = model.mel_config
    seconds = config.window.seconds
    length = mel_config.usual_window if seconds is None else round(seconds * mel_config.rate)
    check_window(length, mel_config)
    window_seconds = length / mel_config.rate
    hop = round(config.window.hop(window_seconds) * mel_config.rate)
    if not 0 < hop <= length:
        raise ConfigError(f"window.hop_seconds: {_too_long(config.window.hop_seconds, window_seconds)}")
    return length, hop


def _too_long(hop_seconds: float | None, window_seconds: float) -> str:
    return (
        f"{hop_seconds:g} leaves audio unscored between windows of {window_seconds:g} s; choose at most that"
    )
