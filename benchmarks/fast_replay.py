"""Replay an hour of audio as fast as the model goes: memory flat, windows as arithmetic says, same events.

    python benchmarks/fast_replay.py [--minutes 60] [--model starter]

Repeats ``recordings/demo.flac`` to the wished length, replays it twice through ``clap-monitor run
--fast --json`` and prints what it saw; exits 1 if memory grew by 20 MB after the first minute of the run
(or its first fifth, if that is shorter), a window is missing, or the two replays differ.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import psutil
import soundfile

ROOT = Path(__file__).parents[1]


def recording(path: Path, minutes: float) -> float:
    """Write the demo, repeated to ``minutes``; return its length in seconds."""
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    length = round(minutes * 60 * rate)
    with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
        for start in range(0, length, len(samples)):
            file.write(samples[: min(len(samples), length - start)])
    return length / rate


Replay = tuple[list[dict[str, object]], str, list[tuple[float, float]], float]
"""Events, the summary line, (seconds, MB of RSS) once a second, and the time it took."""


def replay(path: Path, model: str) -> Replay:
    """Run the command on one recording and watch its memory."""
    command = [sys.executable, "-m", "monitor", "run", "--config", ROOT / "config/demo.yaml"]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = psutil.Popen(
            [*map(str, command), "--source", str(path), "--model", model, "--fast", "--json"],
            stdout=out,
            stderr=errors,
        )
        memory = []
        while process.poll() is None:
            time.sleep(1)
            try:
                memory.append((time.monotonic() - started, process.memory_info().rss / 1e6))
            except psutil.NoSuchProcess:
                break
        seconds = time.monotonic() - started
        out.seek(0)
        errors.seek(0)
        assert process.wait() == 0, errors.read()
        return [json.loads(line) for line in out], errors.read().splitlines()[-1], memory, seconds


def ended(events: list[dict[str, object]]) -> list[tuple[object, ...]]:
    """What must be the same at every replay."""
    keys = ("event_type", "onset_seconds", "offset_seconds", "score", "peak_score")
    return [tuple(event[key] for key in keys) for event in events if event["phase"] == "end"]


def main() -> None:
    """Replay twice, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--model", default="starter")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "hour.wav"
        length = recording(path, arguments.minutes)
        events, summary, memory, seconds = replay(path, arguments.model)
        again, *_ = replay(path, arguments.model)
    settled = min(60.0, seconds / 5)
    later = [rss for at, rss in memory if at >= settled]
    growth = max(later) - later[0]
    words = summary.replace(";", "").replace(",", "").split()
    windows = int(words[words.index("windows") - 1]) + (
        int(summary.split("; ")[1].split()[0]) if "gated" in summary else 0
    )
    model = json.loads((ROOT / "monitor/starter/processor_config.json").read_text())["feature_extractor"]
    window = min(5.0, model["max_length_s"]) if arguments.model == "starter" else 5.0
    expected = int((length - window) / min(1.0, window / 2)) + 1
    print(f"machine     {platform.processor() or platform.machine()}, {psutil.cpu_count()} cores")
    print(f"audio       {length:.0f} s in {seconds:.0f} s, {length / seconds:.0f} x real time")
    print(f"summary     {summary}")
    print(f"windows     {windows}, arithmetic says {expected}")
    print(f"memory      {later[0]:.0f} MB after {settled:.0f} s, at most {growth:+.1f} MB later")
    print(f"events      {len(ended(events))}, the second replay the same: {ended(events) == ended(again)}")
    if growth >= 20 or windows != expected or ended(events) != ended(again):  # noqa: PLR2004 - the bar
        sys.exit(1)


if __name__ == "__main__":
    main()
