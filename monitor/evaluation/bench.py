"""Benchmark of this machine: CPU time for one window, and how many sources it can analyse.

Processor time hardly depends on other work on the machine.  Every window is scored, as with constant sound;
`window.reuse_seconds` makes ordinary days far cheaper.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from monitor.audio.source_status import SourceStatus
from monitor.config import Config, LabelConfig, ModelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.calibration import Calibration
from monitor.detection.engine import Engine, window_samples
from monitor.detection.events import Detector
from monitor.detection.prototypes import Directions, Prototypes
from monitor.detection.rules import rule_of
from monitor.detection.scorer import Scorer
from monitor.model.clap import Clap
from monitor.model.engine_choice import TORCH_NEEDS, installed
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.system.boundary import boundary
from monitor.system.cpu import free_cores, has_bfloat16
from monitor.types import ConfigError, Window

_ROUNDS = 7
_ROUND_TRIP = 20
"""Hops after which the noise begins anew."""
_SHARE = 0.8
"""Share of a core for the analysis: the rest is for late blocks and everything else."""
_HOPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

LESS_EXACT = "int8"
"""Timed, but never recommended: it changes some events, see docs/measurements.md."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Figures, for one window of one source unless noted otherwise."""

    model: str
    engine: str
    device: str
    dtype: str
    sources: int
    labels: int
    window_seconds: float
    hop_seconds: float
    spectrogram_ms: float
    tower_ms: float
    rest_ms: float
    """Gate, level, scoring and events."""
    window_ms: float
    """All of it."""
    real_time_factor: float
    """Processor time of all sources for each second."""
    streams: int
    """Sources that this machine can analyse at this hop."""
    memory_mb: float
    """Resident now."""
    peak_mb: float
    dtypes_ms: dict[str, float]
    """Time of the tower in ONNX Runtime, if it is chosen, and in each number format that torch has here."""
    recommended_hop_seconds: float
    recommended_dtype: str
    recommended_threads: int


def measure(
    model: str, *, labels: int, sources: int, hop_seconds: float | None, dtype: str = "auto"
) -> Bench:
    """Run windows of noise through everything behind the ring; the options are as in the configuration.

    Raises
    ------
    ModelError, ConfigError
        The checkpoint or the hop cannot be used.
    """
    settings = ModelConfig(checkpoint=model, dtype=dtype)  # type: ignore[arg-type]
    config = Config(model=settings, window={"hop_seconds": hop_seconds})  # type: ignore[arg-type]
    clap = Clap.configured(config.model)
    length, hop = window_samples(config, clap)
    clap.warm_up(length)
    clap.forget_text()
    run = _Run(clap, labels, sources, length, hop)
    whole, spectrogram = run.whole_ms(), run.spectrogram_ms()
    tower = run.tower_ms(clap)
    memory, peak = _memory("VmRSS"), _memory("VmHWM")  # before a second tower is loaded
    dtypes = {clap.dtype if clap.engine == "torch" else clap.engine: tower}
    for other in _formats(clap.device):
        if other not in dtypes:
            dtypes[other] = run.tower_ms(Clap.load(model, engine="torch", dtype=other))
    budget = 1000 * hop / clap.mel_config.rate * _SHARE
    return Bench(
        model=clap.name,
        engine=clap.engine,
        device=clap.device,
        dtype=clap.dtype,
        sources=sources,
        labels=labels,
        window_seconds=length / clap.mel_config.rate,
        hop_seconds=hop / clap.mel_config.rate,
        spectrogram_ms=spectrogram,
        tower_ms=tower,
        rest_ms=max(0.0, whole - tower - spectrogram),
        window_ms=whole,
        real_time_factor=whole * sources / (1000 * hop / clap.mel_config.rate),
        streams=int(budget / whole),
        memory_mb=memory,
        peak_mb=peak,
        dtypes_ms=dtypes,
        recommended_hop_seconds=_hop(whole * sources, length / clap.mel_config.rate),
        recommended_dtype=_dtype(dtypes),
        recommended_threads=_threads(whole * sources, budget),
    )


class _Run:
    def __init__(self, clap: Clap, labels: int, sources: int, length: int, hop: int) -> None:
        self._clap, self._length, self._hop, self._start = clap, length, hop, 0
        names = [f"source{number}" for number in range(sources)]
        self._names = names
        random = np.random.default_rng(0)
        self._noise = np.float32(0.1) * random.standard_normal(length + _ROUND_TRIP * hop, dtype=np.float32)
        wanted = [LabelConfig(id=f"label{number}", prompts=("-",)) for number in range(labels)]
        self._detector = Detector([rule_of(label, rate=clap.mel_config.rate, hop=hop) for label in wanted])
        engine = Engine(
            clap,
            clap.embed_log_mel,
            _prototypes([label.id for label in wanted], clap.dimension),
            Calibration(scale=10.0, centre=1.0, baseline=-10.0),
            length,
            hop,
        )
        active_labels = ActiveLabels(labels=tuple(wanted), sources=tuple(names))
        self._scorer = Scorer(engine, active_labels, {name: SourceStatus(name) for name in names})

    def whole_ms(self) -> float:
        """Everything, for one window."""

        def step() -> None:
            for scores in self._scorer.score(self._windows(), self._detector.active):
                self._detector.update(scores)

        return _median_ms(step) / len(self._names)

    def spectrogram_ms(self) -> float:
        """Only the spectrogram of a window that follows another."""
        spectrograms = SpectrogramCache(self._clap.mel_config)
        return _median_ms(lambda: [spectrograms.log_mel(window) for window in self._windows()]) / len(
            self._names
        )

    def tower_ms(self, clap: Clap) -> float:
        """Only the audio tower, all sources at once."""
        spectrograms = SpectrogramCache(clap.mel_config)
        batch = np.stack([spectrograms.log_mel(window) for window in self._windows()])
        return _median_ms(lambda: clap.embed_log_mel(batch)) / len(self._names)

    def _windows(self) -> Sequence[Window]:
        self._start += self._hop
        at = self._start % (_ROUND_TRIP * self._hop)
        samples = self._noise[at : at + self._length]
        stop = (self._start + self._length) / self._clap.mel_config.rate
        return [Window(name, self._start, samples, stop) for name in self._names]


def _prototypes(labels: Sequence[str], dimension: int) -> Prototypes:
    """Random directions: what a comparison costs does not depend on what is compared."""
    vectors = np.random.default_rng(1).standard_normal((len(labels) + 8, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Prototypes(
        labels=tuple(labels),
        directions=Directions(vectors[8:]),
        against=Directions(vectors[:8]),
        is_against=np.ones((len(labels), 8), dtype=bool),
        fingerprints=tuple(labels),
        against_prompts=tuple(f"against{number}" for number in range(8)),
    )


def _formats(device: str) -> list[str]:
    if device != "cpu" or not installed(TORCH_NEEDS):
        return []
    from monitor.model.audio_encoder.int8_linear import steps

    there = {"float32": True, "bfloat16": has_bfloat16(), LESS_EXACT: steps() > 0}
    return [name for name, usable in there.items() if usable]


def _dtype(times: dict[str, float]) -> str:
    """The exact one, unless bfloat16 is faster by more than a fifth."""
    exact = min(times.get(name, float("inf")) for name in ("onnx", "float32"))
    return "bfloat16" if times.get("bfloat16", float("inf")) < 0.8 * exact else "float32"


def _hop(total_ms: float, window_seconds: float) -> float:
    """Shortest hop, of the usual ones, that takes at most half of a core and leaves no audio unheard."""
    fitting = [hop for hop in _HOPS if hop <= window_seconds]
    return next((hop for hop in fitting if total_ms <= 500 * hop), fitting[-1])


def _threads(total_ms: float, budget_ms: float) -> int:
    """One, unless it does not keep up and more cores are free."""
    return min(free_cores(), max(1, int(np.ceil(total_ms / budget_ms))))


def _median_ms(step: Callable[[], object]) -> float:
    step()
    times = []
    for _ in range(_ROUNDS):
        begin = time.process_time()
        step()
        times.append(time.process_time() - begin)
    return 1000 * median(times)


def _memory(key: str) -> float:
    with boundary(ConfigError, "/proc/self/status: cannot be read"):
        lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))
