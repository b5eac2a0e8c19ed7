"""Speed of one window, stage by stage, for every kind of checkpoint.

    python benchmarks/speed.py [--threads 1] [--dtype float32] [CHECKPOINT ...]

Without a checkpoint: the starter, and the two published sizes with random weights, which cost the
same time.  A window is 5 s, or the checkpoint's own length if that is shorter; "window" is mel and tower
together, "cpu" its processor time, which other work on the machine hardly changes, "rtf" the real-time
factor with one window each second.  Every checkpoint is measured in a process of its own, so its memory
is its own: before it is loaded, with both towers, and after the text tower is forgotten.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROUNDS = 15
COLUMNS = (
    ("checkpoint", "", 24),
    ("load", "s", 7),
    ("mel", "ms", 7),
    ("extractor", "ms", 10),
    ("tower", "ms", 8),
    ("window", "ms", 8),
    ("cpu", "ms", 8),
    ("rtf", "", 7),
    ("sentence", "ms", 9),
    ("before", "MB", 8),
    ("text", "MB", 8),
    ("forgot", "MB", 8),
)


def median_ms(
    run: Callable[[], object], rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median time of a call, after one that does not count."""
    run()
    times = []
    for _ in range(rounds):
        begin = clock()
        run()
        times.append(clock() - begin)
    return 1000 * sorted(times)[rounds // 2]


def resident_mb() -> float:
    """Memory of this process that is in use."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def measure(checkpoint: str, threads: int, dtype: str) -> dict[str, float | str]:
    """Every stage of one checkpoint, in this process."""
    import torch
    from transformers import ClapFeatureExtractor

    from monitor.model.clap import Clap
    from monitor.model.log_mel import log_mel
    from monitor.model.self_test import sounds

    before = resident_mb()
    begin = time.perf_counter()
    clap = Clap.load(checkpoint, dtype=dtype)
    clap.use_threads(threads)
    load = time.perf_counter() - begin
    length = min(5 * clap.mel_config.rate, clap.mel_config.length)
    window = sounds(length, clap.mel_config.rate)[1:2]
    extractor = ClapFeatureExtractor.from_pretrained(clap.path)
    mel = median_ms(lambda: log_mel(window, clap.mel_config))
    whole = median_ms(lambda: clap.embed_audio(window))
    begin = time.perf_counter()
    clap.embed_text(["a dog barking"])
    clap.embed_text([f"sound number {number}" for number in range(8)])
    sentence = (time.perf_counter() - begin) / 9
    text = resident_mb()
    clap.forget_text()
    return {
        "checkpoint": Path(checkpoint).name,
        "load": load,
        "mel": mel,
        "extractor": median_ms(lambda: extractor(window[0], sampling_rate=clap.mel_config.rate), 5),
        "tower": whole - mel,
        "window": whole,
        "cpu": median_ms(lambda: clap.embed_audio(window), clock=time.process_time),
        "rtf": whole / 1000,
        "sentence": 1000 * sentence,
        "before": before,
        "text": text,
        "forgot": resident_mb(),
        "torch": torch.__version__,
    }


def published(directory: Path) -> list[str]:
    """Checkpoints of the published sizes, with random weights."""
    sys.path.insert(0, str(ROOT))
    from tests.support.checkpoints import CLAP_HTSAT_UNFUSED, LARGER_CLAP_GENERAL, build

    build(directory / "clap-htsat-unfused", CLAP_HTSAT_UNFUSED)
    build(directory / "larger_clap_general", LARGER_CLAP_GENERAL)
    return [str(directory / name) for name in ("clap-htsat-unfused", "larger_clap_general")]


def machine() -> str:
    """What the numbers hold for."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), "")
    load = os.getloadavg()[0]
    return f"{name}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}"


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.0f}" if value >= 10 else f"{value:.2f}"  # noqa: PLR2004


def main() -> None:
    """Measure and print one line for each checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", nargs="*", metavar="CHECKPOINT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16", "int8"])
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.checkpoints[0], options.threads, options.dtype)))
        return
    print(f"{machine()}; {options.threads} threads, {options.dtype}; window at most 5 s, hop 1 s")
    print("".join(f"{f'{name} {unit}'.strip():>{width + 2}}" for name, unit, width in COLUMNS))
    with tempfile.TemporaryDirectory() as directory:
        for checkpoint in options.checkpoints or ["starter", *published(Path(directory))]:
            command = [sys.executable, __file__, "--measure", checkpoint]
            command += ["--threads", str(options.threads), "--dtype", options.dtype]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            answer = subprocess.run(
                command, capture_output=True, text=True, check=True, env=environment
            ).stdout
            result = json.loads(answer.splitlines()[-1])
            shown = [_cell(result[name]) for name, _, _ in COLUMNS]
            widths = [width + 2 for _, _, width in COLUMNS]
            print("".join(f"{cell:>{width}}" for cell, width in zip(shown, widths, strict=True)), flush=True)


if __name__ == "__main__":
    main()
