"""A day of audio through the whole monitor: every sample accounted for, and nothing grows?  Exit 1 if not.

    python -m benchmarks.day [--hours 24] [--sources 3] [--night 0.75]

The hours are shared among the sources, sound files of different rates: ``recordings/demo.flac`` again and
again, and between, for the share ``night`` of the time, noise below ``silence_dbfs``.  They are replayed
as fast as the model goes, with a real broker, the store and clips, in a process that is watched every few
seconds: its memory, file descriptors and threads from when a tenth of the audio is done until all is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import soundfile
import soxr

from monitor.config import ClipsConfig, Config, MqttConfig, SourceConfig, load
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.types import Scores
from tests.support.broker import Broker
from tests.support.observer import Observer

ROOT = Path(__file__).parents[1]
RATES = (32_000, 16_000, 44_100, 48_000, 22_050)
STRETCH_SECONDS = 600
LOOK_SECONDS = 2.0
WARM, OVER = 0.1, 0.99
"""Between these shares of the audio the process is looked at."""

MOST_MB = 20.0
SPARE = 2
"""A file that is open for a moment, such as a clip that is being written, is no leak."""


def write(path: Path, seconds: float, night: float, rate: int) -> None:
    """Write a recording in which days and nights of a few minutes take turns."""
    demo, demo_rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="float32")
    day = np.round(soxr.resample(demo, demo_rate, rate) * (2**15 - 1)).clip(-(2**15), 2**15 - 1)
    dark = np.random.default_rng(24).integers(-2, 3, round(STRETCH_SECONDS * night * rate))
    light = np.resize(day, round(STRETCH_SECONDS * (1 - night) * rate))
    both = np.concatenate([light, dark]).astype(np.int16)
    left = round(seconds * rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16", format="RF64") as file:
        while left:
            file.write(both[:left])
            left -= min(left, len(both))


def configuration(directory: Path, paths: Sequence[Path], port: int) -> Config:
    """Everything that the service has, but a microphone."""
    return load(ROOT / "config/demo.yaml").model_copy(
        update={
            "sources": tuple(
                SourceConfig(name=path.stem, kind="file", path=path, pace="fast") for path in paths
            ),
            "mqtt": MqttConfig(host="127.0.0.1", port=port),
            "clips": ClipsConfig(enabled=True, max_megabytes=50),
            "state": directory / "state",
            "recordings": directory / "recordings",
        }
    )


def listen(directory: Path, paths: Sequence[Path], port: int) -> None:
    """Listen to the end, and print what became of every source: the watched process."""
    daemon = Daemon(build(configuration(directory, paths, port)))
    length = soundfile.info(paths[0]).duration * daemon.parts.engine.rate

    def mark(scores: Scores) -> None:
        if scores.source == paths[0].stem:
            (directory / "mark").write_text(f"{scores.stop / length}")

    summary = daemon.run(Observer(on_scores=mark))
    sources = {}
    for path in paths:
        status, info = daemon.parts.status[path.stem], soundfile.info(path)
        sources[path.stem] = {
            "recorded": round(info.frames * daemon.parts.engine.rate / info.samplerate),
            "captured": status.captured,
            "lost": status.lost,
            "windows": (status.captured - daemon.parts.engine.length) // daemon.parts.engine.hop + 1,
            "scored": status.scored,
            "gated": sum(status.gated.values()),
            "late": status.late,
        }
    print(json.dumps({"sources": sources, "events": summary.events, "seconds": summary.audio_seconds}))


def watch(process: psutil.Popen, mark: Path) -> list[tuple[float, int, int]]:
    """Memory in MB, file descriptors and threads, every `LOOK_SECONDS` while it is in the midst of it."""
    seen = []
    while process.poll() is None:
        time.sleep(LOOK_SECONDS)
        if WARM <= _done(mark) <= OVER:
            with process.oneshot():
                seen.append((process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()))
    return seen


def _done(mark: Path) -> float:
    """Share of the audio that is done."""
    try:
        return float(mark.read_text() or 0)
    except FileNotFoundError:
        return 0.0


def run(hours: float, count: int, night: float) -> bool:
    """Make the recordings, listen to them, print the figures; True if all is well."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        paths = [directory / f"source{number}.wav" for number in range(count)]
        for path, rate in zip(paths, RATES, strict=False):
            write(path, hours * 3600 / count, night, rate)
        with Broker(directory) as broker:
            command = [sys.executable, "-m", "benchmarks.day", "--listen", str(directory), str(broker.port)]
            began = time.monotonic()
            with (directory / "log").open("w") as log:  # a pipe that nobody reads would hold it up
                process = psutil.Popen(
                    [*command, *map(str, paths)], stdout=subprocess.PIPE, stderr=log, text=True
                )
            seen = watch(process, directory / "mark")
            output, _ = process.communicate()
            took = time.monotonic() - began
        if process.returncode:
            print((directory / "log").read_text())
            return False
    return judge(json.loads(output), seen, took)


def judge(report: dict[str, object], seen: list[tuple[float, int, int]], took: float) -> bool:
    """Print what was seen; True if every sample is accounted for and nothing has grown."""
    sources = report["sources"]
    assert isinstance(sources, dict)
    unaccounted = windows = 0
    for name, of in sources.items():
        unaccounted += abs(of["recorded"] - of["captured"] - of["lost"])
        missing = of["windows"] - of["scored"] - of["gated"] - of["late"]
        windows += abs(missing)
        print(f"{name:<12}{json.dumps(of)}")
    memory, files, threads = zip(*seen, strict=True)
    growth = max(memory) - memory[0]
    print(f"audio       {report['seconds']:.0f} s in {took:.0f} s, {report['events']} events")
    print(f"unaccounted {unaccounted} samples, {windows} windows")
    print(f"memory      {memory[0]:.0f} MB when a tenth was done, {growth:+.1f} MB at most later")
    print(f"files       {files[0]}, later {min(files)} to {max(files)}")
    print(f"threads     {threads[0]}, later {min(threads)} to {max(threads)}")
    lost = sum(of["lost"] + of["late"] for of in sources.values())
    constant = max(files) - min(files) <= SPARE and max(threads) == min(threads)
    return unaccounted == windows == lost == 0 and growth < MOST_MB and constant


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24.0, help="of all sources together (default 24)")
    parser.add_argument("--sources", type=int, default=3, choices=range(1, len(RATES) + 1), metavar="N")
    parser.add_argument("--night", type=float, default=0.75, help="share of silence (default 0.75)")
    parser.add_argument("--listen", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.listen:
        directory, port, *paths = arguments.listen
        listen(Path(directory), [Path(path) for path in paths], int(port))
        return 0
    return 0 if run(arguments.hours, arguments.sources, arguments.night) else 1


if __name__ == "__main__":
    sys.exit(main())
