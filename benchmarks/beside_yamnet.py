"""Processor time for a second of audio: the checkpoint beside YAMNet, on the same recording, in turns.

    python -m benchmarks.beside_yamnet --data ../shared/data [--checkpoint starter] [--rounds 7]
                                       [--day DAYS/room --every 8]

YAMNet hears windows of 0.975 s without overlap, as Frigate runs it; the checkpoint hears its own windows at
its own hop, from samples to embedding.  What each finds is measured by `benchmarks.yamnet` and
``clap-monitor evaluate`` on the scenes.  With ``--day`` both hear the days of `benchmarks.home_day` instead,
and the checkpoint goes through everything from the ring buffer to events, with the novelty gate: each
recording on its own, and all of them as one.  Needs the extra `training`.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from ai_edge_litert.interpreter import Interpreter

from benchmarks.yamnet import LENGTH, RATE
from monitor.audio.level import to_reference
from monitor.audio.source_status import SourceStatus
from monitor.config import Config, WindowConfig, load
from monitor.detection.engine import Engine
from monitor.detection.rules import Rule, rule_of
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.replay import analysed, analysis_of
from monitor.model.clap import Clap
from monitor.types import AudioBlock, Samples

DEMO = Path(__file__).parents[1] / "recordings" / "demo.flac"


def main() -> None:
    """Listen in turns; print the medians and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--checkpoint", default="starter")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--day", type=Path)
    parser.add_argument("--every", type=int, default=8, help="take only every so many recordings")
    arguments = parser.parse_args()
    if arguments.day:
        home_day(arguments)
        return
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


def home_day(arguments: argparse.Namespace) -> None:
    """Listen to home days in turns; print both costs."""
    config = load(Path(__file__).with_name("field_scenes.yaml"))
    model = {"checkpoint": arguments.checkpoint, "device": "cpu"}
    config = config.model_copy(update={"model": config.model.model_copy(update=model)})
    config.state.mkdir(parents=True, exist_ok=True)
    engine = load_qualified_engine(config)
    engine.model.warm_up(engine.length)
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    paths = sorted((arguments.day / "scenes").glob("*.flac"))[:: arguments.every]
    read = [soundfile.read(path, dtype="float32") for path in paths]
    own = [soxr.resample(samples, rate, engine.rate).astype(np.float32) for samples, rate in read]
    peers = [
        yamnet(arguments.data / "teacher" / "yamnet.tflite", soxr.resample(samples, rate, RATE))
        for samples, rate in read
    ]
    seconds = sum(len(samples) / engine.rate for samples in own)
    theirs = ours = 0.0
    taken, windows = 0, 0
    for peer, samples in zip(peers, own, strict=True):
        theirs += spent(peer)
        took, scored, count = heard(samples, config, engine, rules)
        ours, taken, windows = ours + took, taken + scored, windows + count
    whole, scored, count = heard(np.concatenate(own), config, engine, rules)
    print(f"{len(own)} recordings, {seconds / 60:.0f} minutes; for a second of audio YAMNet", end=" ")
    print(f"{1000 * theirs / seconds:.2f} ms, {arguments.checkpoint} ({engine.model.engine})", end=" ")
    print(
        f"{1000 * ours / seconds:.2f} ms, {ours / theirs:.1f} times, model on {taken / windows:.0%};", end=" "
    )
    print(
        f"as one recording {1000 * whole / seconds:.2f} ms, {whole / theirs:.1f} times, {scored / count:.0%}"
    )


def heard(samples: Samples, config: Config, engine: Engine, rules: Sequence[Rule]) -> tuple[float, int, int]:
    """Seconds of processor for a recording, windows on which the model ran, and all windows."""
    status, block = SourceStatus("recording"), engine.rate // 10
    blocks = (
        AudioBlock("recording", start, samples[start : start + block], (start + block) / engine.rate)
        for start in range(0, len(samples), block)
    )
    began = time.process_time()
    with analysis_of(blocks, config, engine, status, threading.Event()) as (windows, scorer):
        scores, _ = analysed(windows, scorer, rules, engine.rate)
    return time.process_time() - began, status.scored, len(scores)


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
