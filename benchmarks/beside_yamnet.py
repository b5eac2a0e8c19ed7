"""Processor time for a second of audio: the checkpoint beside YAMNet, on the same recording, in turns.

    python -m benchmarks.beside_yamnet --data ../shared/data [--checkpoint starter] [--rounds 7]

YAMNet hears windows of 0.975 s without overlap, as Frigate runs it; the checkpoint hears its own windows at
its own hop, from samples to embedding.  What each finds is measured by `benchmarks.yamnet` and
``clap-monitor evaluate`` on the scenes.  Needs the extra `training`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from ai_edge_litert.interpreter import Interpreter

from benchmarks.yamnet import LENGTH, RATE
from monitor.audio.level import to_reference
from monitor.config import WindowConfig
from monitor.model.clap import Clap

DEMO = Path(__file__).parents[1] / "recordings" / "demo.flac"


def main() -> None:
    """Listen in turns; print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    samples, rate = soundfile.read(DEMO, dtype="float32")
    seconds = len(samples) / rate
    peer = yamnet(arguments.data / "teacher" / "yamnet.tflite", soxr.resample(samples, rate, RATE))
    own = checkpoint(arguments.checkpoint, samples, rate)
    peer(), own()
    rounds = [(spent(peer), spent(own)) for _ in range(arguments.rounds)]
    theirs, ours = (1000 * statistics.median(column) / seconds for column in zip(*rounds, strict=True))
    ratio = statistics.median(mine / other for other, mine in rounds)
    print("for a second of audio:")
    print(f"YAMNet {theirs:.2f} ms, {arguments.checkpoint} {ours:.2f} ms, {ratio:.1f} times")


def spent(listen: Callable[[], None]) -> float:
    """Seconds of processor."""
    began = time.process_time()
    listen()
    return time.process_time() - began


def yamnet(path: Path, samples: npt.NDArray[np.float32]) -> Callable[[], None]:
    """What listens to every window once."""
    model = Interpreter(str(path), num_threads=1)
    model.allocate_tensors()
    inlet, outlet = model.get_input_details()[0]["index"], model.get_output_details()[0]["index"]
    windows = [
        np.ascontiguousarray(samples[start : start + LENGTH], dtype=np.float32)
        for start in range(0, len(samples) - LENGTH + 1, LENGTH)
    ]

    def listen() -> None:
        for window in windows:
            model.set_tensor(inlet, window)
            model.invoke()
            model.get_tensor(outlet)

    return listen


def checkpoint(name: str, samples: npt.NDArray[np.float32], rate: int) -> Callable[[], None]:
    """What listens to every window once, one at a time, as it does live."""
    clap = Clap.load(name, dtype="float32")
    if rate != clap.mel_config.rate:
        samples = soxr.resample(samples, rate, clap.mel_config.rate).astype(np.float32)
    length = clap.mel_config.usual_window
    hop = round(WindowConfig().hop(length / clap.mel_config.rate) * clap.mel_config.rate)
    windows = [samples[start : start + length] for start in range(0, len(samples) - length + 1, hop)]

    def listen() -> None:
        for window in windows:
            clap.embed_audio(to_reference(window)[None])

    return listen


if __name__ == "__main__":
    main()
