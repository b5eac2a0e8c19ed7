"""The monitor against the model card's way: transformers' pipeline, called for the newest window every hop.

    python -m benchmarks.naive [--rounds 7] [--checkpoint DIR] [--day DIR/test]

Both get the same busy audio, ten labels, 5 s every second, on one thread; without ``--checkpoint`` with
random weights of the configuration of ``laion/larger_clap_general``.  Printed is processor time for a second
of audio, the median of rounds in turn, and what part of this machine's own rate of matrix products (taken in
the same rounds; torch has none in int8 to compare with) the audio tower reaches.  Then the events of the demo
recording are compared: those of our features and tower, and those that the same decisions make of
transformers' own.

With ``--day``, the scenes of `benchmarks.scenes`: an hour, nine minutes of room tone, hum or noise to each
minute of events, through the novelty gate.  It decides by the sound alone there: random weights have nothing
to add, so no score holds the gate open.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from transformers import ClapFeatureExtractor, ClapModel, pipeline

from benchmarks.full_size import RATE, build_full_size
from benchmarks.speed import machine
from monitor.audio.level import reference_gain
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.ffmpeg import decode
from monitor.config import LabelConfig
from monitor.detection import scoring
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.calibration import Calibration
from monitor.detection.engine import AudioEncoder, Engine
from monitor.detection.events import Detector
from monitor.detection.novelty_gate import NoveltyGate
from monitor.detection.prototypes import build_prototypes
from monitor.detection.rules import rule_of
from monitor.detection.scorer import Scorer
from monitor.model import loader
from monitor.model.checkpoint import read
from monitor.model.clap import Clap
from monitor.model.spectrogram_cache import SpectrogramCache
from monitor.types import Embeddings, Samples, Window

LABELS = (
    *("a dog barking", "a baby crying", "glass breaking", "a smoke alarm beeping", "a doorbell ringing"),
    *("a car horn", "a person coughing", "footsteps", "water running", "a cat meowing"),
)
SECONDS, HOP_SECONDS = 5, 1
REUSE_SECONDS = 20.0
PRODUCT = 1024
"""Rows and columns of the product by which the machine is measured."""

BACKGROUND = ("room", "hum", "white")

FORMATS = ("float32", "bfloat16", "int8")


class Ours:
    """Everything behind the ring, for one source."""

    def __init__(
        self,
        clap: Clap,
        *,
        gated: bool = False,
        library: Library | None = None,
        encode: AudioEncoder | None = None,
        response: Calibration = Calibration(scale=10.0, centre=2.0, baseline=-10.0),  # noqa: B008 - it never changes
    ) -> None:
        self.clap, self.rate = clap, clap.mel_config.rate
        self.events: list[tuple[str, int, int | None]] = []
        self.hop = HOP_SECONDS * self.rate
        labels = [LabelConfig(id=f"label{i}", prompts=(text,)) for i, text in enumerate(LABELS)]
        self.detector = Detector([rule_of(label, rate=self.rate, hop=self.hop) for label in labels])
        self.status = SourceStatus("mic")
        engine = Engine(
            clap,
            encode or (clap.embed_log_mel if library is None else library.embed),
            build_prototypes(labels, (), clap.embed_text),
            response,
            SECONDS * self.rate,
            self.hop,
        )
        features: Any = library  # without a gate only log_mel is needed
        self.scorer = Scorer(
            engine,
            ActiveLabels(labels=tuple(labels), sources=("mic",)),
            {"mic": self.status},
            gate=NoveltyGate(clap.mel_config, engine.hop_of, REUSE_SECONDS) if gated else None,
            spectrograms=features,
        )

    def score(self, window: Window) -> None:
        """One window."""
        for scores in self.scorer.score([window], self.detector.active):
            self.events += [(event.label, event.start, event.stop) for event in self.detector.update(scores)]


class Library:
    """Transformers' features and audio tower."""

    def __init__(self, checkpoint: Path) -> None:
        self._extractor: Any = ClapFeatureExtractor.from_pretrained(checkpoint)
        self._model: Any = ClapModel.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def log_mel(self, window: Window) -> NDArray[np.float32]:
        """Spectrogram of a window brought to the reference level, shape (frames, mel_bins)."""
        samples = window.samples * np.float32(reference_gain(window.samples))
        spectrogram = self._extractor(samples, sampling_rate=RATE, return_tensors="np")["input_features"]
        return np.asarray(spectrogram[0, 0], dtype=np.float32)

    @torch.inference_mode()
    def embed(self, spectrograms: NDArray[np.float32]) -> Embeddings:
        """Unit vectors, shape (n, dimension)."""
        features = torch.from_numpy(spectrograms)[:, None]
        pooled = self._model.get_audio_features(input_features=features).pooler_output
        vectors: Embeddings = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return vectors


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--day", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as directory:
        checkpoint = arguments.checkpoint or Path(directory) / "larger_clap_general"
        if arguments.checkpoint is None:
            build_full_size(checkpoint)
        naive = busy(checkpoint, arguments.rounds)
        for name in (str(checkpoint), "starter"):
            same_events(name)
        if arguments.day:
            for dtype, seconds in naive.items():
                day(checkpoint, dtype, seconds, arguments.day)


def busy(checkpoint: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Time both in turn; seconds of the pipeline and of our tower, by number format."""
    loader.quiet()
    pipe = pipeline("zero-shot-audio-classification", model=str(checkpoint), device="cpu")
    ours = {dtype: Ours(Clap.load(str(checkpoint), dtype=dtype)) for dtype in FORMATS}
    audio = decode(Path("recordings/demo.flac"), ours["float32"].rate)
    row = windows(audio, ours["float32"].rate)
    steps: dict[str, Callable[[Window], object]] = {
        "pipeline": lambda window: pipe(window.samples, candidate_labels=list(LABELS))
    }
    for dtype, one in ours.items():
        steps[dtype] = one.score
        spectrogram = SpectrogramCache(one.clap.mel_config).log_mel(next(windows(audio, one.rate)))[None]
        steps[f"tower {dtype}"] = lambda _, one=one, x=spectrogram: one.clap.embed_log_mel(x)  # type: ignore[misc]
        if dtype != "int8":
            square = torch.rand(PRODUCT, PRODUCT).to(getattr(torch, dtype))
            steps[f"product {dtype}"] = lambda _, square=square: square @ square  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        window = next(row)
        for name, step in steps.items():
            begin = time.process_time()
            step(window)
            if number:  # the first round warms up
                times[name].append(time.process_time() - begin)
    work = read(ours["float32"].clap.path).audio_config.operations
    found = {}
    for dtype in ours:
        ratio = median(a / b for a, b in zip(times["pipeline"], times[dtype], strict=True))
        reached = work / median(times[f"tower {dtype}"]) / 1e9
        took = {name: 1000 * median(times[name]) for name in ("pipeline", dtype, f"tower {dtype}")}
        line = (
            f"{dtype}: pipeline {took['pipeline']:.0f} ms, ours {took[dtype]:.0f} ms for a second of audio, "
            f"1/{ratio:.1f}; tower {took[f'tower {dtype}']:.0f} ms, {reached:.0f} GFLOP/s"
        )
        if f"product {dtype}" in times:
            rate = 2 * PRODUCT**3 / median(times[f"product {dtype}"]) / 1e9
            line += f" of {rate:.0f}: {reached / rate:.0%}"
        print(line, flush=True)
        found[dtype] = median(times["pipeline"]), median(times[f"tower {dtype}"])
    return found


def same_events(checkpoint: str) -> None:
    """Compare the events that come of transformers' numbers with those of ours, in every number format."""
    clap = Clap.load(checkpoint, dtype="float32")
    library = Library(clap.path)
    audio = np.tile(decode(Path("recordings/demo.flac"), clap.mel_config.rate), 2)
    seconds = min(SECONDS, clap.mel_config.length // clap.mel_config.rate)
    row = list(windows(audio, clap.mel_config.rate, seconds))
    judges = Ours(clap).scorer._prototypes  # noqa: SLF001
    rows = np.concatenate([library.embed(library.log_mel(window)[None]) for window in row])
    margins = np.stack([scoring.margins(each, judges) for each in rows])
    # So that a few of a hundred windows are above the threshold, whatever the weights make of them.
    spread, high = float(margins.std()), float(np.quantile(margins, 0.9))
    response = Calibration(scale=1.5 / spread, centre=high, baseline=-10.0)
    theirs = Ours(clap, library=library, response=response)
    found = {"transformers": theirs.events}
    ours = {dtype: Clap.load(checkpoint, dtype=dtype) for dtype in FORMATS}
    detectors = {dtype: Ours(one, response=response) for dtype, one in ours.items()}
    for window in row:
        for one in (theirs, *detectors.values()):
            one.score(window)
    found |= {dtype: one.events for dtype, one in detectors.items()}
    print(f"starts and ends of events in {len(row)} windows, {Path(checkpoint).name}:")
    for name, events in found.items():
        apart = len(set(events) ^ set(theirs.events))
        print(f"    {name:<12} {len(events):3}, of these and transformers' {apart} only in one", flush=True)


def day(checkpoint: Path, dtype: str, seconds: tuple[float, float], scenes: Path) -> None:
    """An hour through the novelty gate; the tower's time is counted, not spent."""
    clap = Clap.load(str(checkpoint), dtype=dtype)
    pipeline_seconds, tower_seconds = seconds
    calm = np.eye(1, clap.dimension, dtype=np.float32)
    ours = Ours(clap, gated=True, encode=lambda batch: np.repeat(calm, len(batch), axis=0))
    count = 0
    begin = time.process_time()
    for window in windows(hour(scenes, ours.rate), ours.rate):
        ours.score(window)
        count += 1
    spent = time.process_time() - begin + ours.status.scored * tower_seconds
    print(
        f"a day in {dtype}: {ours.status.scored} of {count} windows scored, "
        f"{1000 * spent / count:.0f} ms for a second of audio, "
        f"1/{pipeline_seconds * count / spent:.0f} of the pipeline",
        flush=True,
    )


def hour(scenes: Path, rate: int) -> Samples:
    """Nine minutes of background, one of events, six times."""
    calm = sorted(path for kind in BACKGROUND for path in (scenes / "negatives").glob(f"{kind}-*.flac"))
    events = sorted((scenes / "scenes").glob("*.flac"))
    parts = []
    for number in range(6):
        parts += [minutes(path, rate, 4.5) for path in calm[2 * number : 2 * number + 2]]
        parts.append(minutes(events[number * len(events) // 6], rate, 1.0))
    return np.concatenate(parts)


def minutes(path: Path, rate: int, length: float) -> Samples:
    """Beginning of a recording."""
    samples, own = soundfile.read(path, dtype="float32")
    resampled: Samples = soxr.resample(samples[: int(60 * length * own)], own, rate).astype(np.float32)
    return resampled


def windows(audio: Samples, rate: int, seconds: int = SECONDS) -> Iterator[Window]:
    """Windows of a recording, one every hop."""
    length, hop = seconds * rate, HOP_SECONDS * rate
    for start in range(0, len(audio) - length + 1, hop):
        yield Window("mic", start, audio[start : start + length], (start + length) / rate)


if __name__ == "__main__":
    main()
