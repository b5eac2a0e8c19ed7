"""Scan of long archives: cost of an hour of audio, memory, one long file, beside transformers, and kills.

    python benchmarks/scan.py hours 1 5 50 [--work DIR] [--hop SECONDS] [--sound SHARE]
    python benchmarks/scan.py file 24 [--work DIR] [--hop SECONDS] [--sound SHARE]
    python benchmarks/scan.py pipeline [--seconds 60]
    python benchmarks/scan.py kills 10 [--minutes 6]
    python benchmarks/scan.py batches 1 2 4

``hours`` repeats ``recordings/demo.flac`` to files of an hour and scans as many as are asked for with one
process, each number into a folder of its own; ``file`` scans one file of so many hours.  Both print the
processor time for an hour of audio, and the largest memory of all processes together.  With ``--sound`` only
that share is the demo, and the rest exact zeros, which are not scored.  ``pipeline`` classifies the
demo's windows with transformers, one after the other.  ``kills`` ends a scan at random moments, starts it
again each time, and compares the results with those of an uninterrupted one, byte for byte.  ``batches``
scans eight demos in one process, with the windows of so many at once in a batch.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config/demo.yaml"


def recording(path: Path, hours: float, sound: float = 1.0) -> None:
    """Write the demo and zeros, repeated to so many hours, unless it is there."""
    if path.exists():
        return
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="int16")
    zeros = np.zeros(round(len(samples) * (1 / sound - 1)), dtype=np.int16)
    samples = np.concatenate([samples, zeros])
    length, draft = round(hours * 3600 * rate), path.with_suffix(".draft")
    with soundfile.SoundFile(draft, "w", rate, 1, "PCM_16", format="FLAC") as file:
        for start in range(0, length, len(samples)):
            file.write(samples[: min(len(samples), length - start)])
    draft.rename(path)


def command(paths: list[Path], out: Path, hop: float | None) -> list[str]:
    """Return the command line of a scan with one process."""
    config = CONFIG
    if hop is not None:
        config = out.parent / f"hop-{hop:g}.yaml"
        config.write_text(f"{CONFIG.read_text()}\nwindow:\n  hop_seconds: {hop:g}\n")
    options = ["--config", str(config), "--embeddings", "--processes", "1"]
    return [sys.executable, "-m", "monitor", "scan", *map(str, paths), "--out", str(out), *options]


def watched(arguments: list[str]) -> tuple[float, float, float]:
    """Run a command; return its processor time and wall time in seconds, and the most memory in MB."""
    begin, used, most = time.monotonic(), 0.0, 0.0
    process = psutil.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        time.sleep(0.5)
        try:
            every = [process, *process.children(recursive=True)]
            times = [each.cpu_times() for each in every]
            used = max(used, sum(t.user + t.system for t in times))
            most = max(most, sum(each.memory_full_info().pss for each in every) / 1e6)
        except psutil.Error:
            continue
    assert process.wait() == 0, arguments
    return used, time.monotonic() - begin, most


def report(what: str, hours: float, measured: tuple[float, float, float]) -> None:
    """Print one line."""
    used, wall, most = measured
    rate = 3600 * hours / used
    print(
        f"{what}: {used / hours:.1f} s of processor time for an hour of audio, {rate:.0f} hours "
        f"of audio in a core-hour, {wall:.0f} s in all, at most {most:.0f} MB",
        flush=True,
    )


def hours(numbers: list[int], work: Path, hop: float | None, sound: float) -> None:
    """Scan so many hours, in files of one hour."""
    for number in numbers:
        files = [work / f"202401{1 + each // 24:02d}_{each % 24:02d}0000.flac" for each in range(number)]
        for path in files:
            recording(path, 1, sound)
        report(f"{number} h", number, watched(command(files, work / f"hours-{number}", hop)))


def one_file(number: float, work: Path, hop: float | None, sound: float) -> None:
    """Scan one file of so many hours."""
    path = work / f"long-{number:g}.flac"
    recording(path, number, sound)
    report(f"one file of {number:g} h", number, watched(command([path], work / f"file-{number:g}", hop)))


def pipeline(seconds: float) -> None:
    """Classify windows with the transformers pipeline, at the hop of the scan."""
    import soxr
    import torch
    from transformers import pipeline as of

    torch.set_num_threads(1)
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", dtype="float32")
    classify: Any = of(task="zero-shot-audio-classification", model=str(ROOT / "monitor/starter"))
    wanted = classify.feature_extractor.sampling_rate
    resampled = soxr.resample(samples, rate, wanted)
    labels = [
        "a helicopter",
        "a rooster crowing",
        "a dog barking",
        "a fire crackling",
        "a crowd shouting",
        "a car horn",
    ]
    windows = [resampled[at : at + wanted] for at in range(0, len(resampled) - wanted, wanted // 2)]
    count = min(len(windows), round(seconds * 2))
    classify(windows[0], candidate_labels=labels)
    begin = time.process_time()
    for window in windows[:count]:
        classify(window, candidate_labels=labels)
    used = time.process_time() - begin
    print(f"transformers pipeline: {count / 2 / used:.0f} hours of audio in a core-hour ({count} windows)")


def batches(numbers: list[int], work: Path) -> None:
    """Scan with batches of several sizes, in turn; print the least processor time of each."""
    from monitor.archive.job import Job
    from monitor.archive.part_scan import scan_part
    from monitor.archive.recording_list import list_recordings
    from monitor.archive.scanners import load_scanner
    from monitor.config import load

    files = [work / f"20240101_0{number}0000.flac" for number in range(8)]
    for path in files:
        recording(path, 68 / 3600)
    recordings = list_recordings(map(str, files))
    job = Job(load(CONFIG), embeddings=True)
    least = dict.fromkeys(numbers, float("inf"))
    for number in numbers * 3:
        scanner, _ = load_scanner(job, most=number)
        begin = time.process_time()
        with ThreadPoolExecutor(number) as threads:
            list(threads.map(lambda each: scan_part(each, scanner, work), recordings))  # noqa: B023
        least[number] = min(least[number], time.process_time() - begin)
    for number, used in least.items():
        print(f"batches of {number}: {3600 * used / (8 * 68):.1f} s of processor time for an hour of audio")


def contents(out: Path) -> dict[str, bytes]:
    """Return the files of results by their names."""
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.glob("*/*.parquet"))}


def _done(out: Path) -> int:
    return len(list((out / "files").glob("*-*.parquet")))


def kills(number: int, minutes: float, work: Path) -> None:
    """Kill a scan so often at random, and compare."""
    files = [work / f"20240131_06{minute:02d}00.flac" for minute in range(round(minutes))]
    for path in files:
        recording(path, 1 / 60)
    subprocess.run(command(files, work / "whole", None), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    chance, killed = random.Random(1), 0
    while killed < number:
        before = _done(work / "killed")
        process = subprocess.Popen(command(files, work / "killed", None), cwd=ROOT, stderr=subprocess.DEVNULL)
        more = chance.choice((0, 1, 1, 2))
        while process.poll() is None and _done(work / "killed") < before + more:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 3))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
            print(
                f"killed {killed} times: {_done(work / 'killed')} of {len(files)} recordings done", flush=True
            )
        process.wait()
        if _done(work / "killed") == len(files):  # the other kills begin anew
            for path in (work / "killed").glob("*/*-*.parquet"):
                path.unlink()
    subprocess.run(command(files, work / "killed", None), cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    same = contents(work / "whole") == contents(work / "killed")
    left = [path.name for path in (work / "killed/drafts").iterdir() if path.name != "lock"]
    print(f"killed {killed} times: results equal: {same}; drafts left: {left}")
    if not same or left:
        sys.exit(1)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["hours", "file", "pipeline", "kills", "batches"])
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument(
        "--work", type=Path, help="folder for recordings and results; default: a temporary one"
    )
    parser.add_argument("--hop", type=float)
    parser.add_argument("--sound", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--minutes", type=float, default=6)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = given.work or Path(directory)
        work.mkdir(parents=True, exist_ok=True)
        match given.what:
            case "hours":
                hours(given.numbers or [1, 5, 50], work, given.hop, given.sound)
            case "file":
                one_file((given.numbers or [24])[0], work, given.hop, given.sound)
            case "kills":
                kills((given.numbers or [10])[0], given.minutes, work)
            case "batches":
                batches(given.numbers or [1, 2, 4], work)
            case _:
                pipeline(given.seconds)


if __name__ == "__main__":
    main()
