"""Temporal patterns of alarms: how surely they are found, and how often other sounds are taken for them.

    python -m benchmarks.alarm_pattern --data ../shared/data [--seed 1] [--hours 2]

Alarms are synthesised, at 2.8 to 3.6 kHz or 520 Hz, with timing errors of up to 8 %, in rooms that die away
in 0.2 to 0.7 s, in the beds of ``eval-dev`` and ``field-dev`` at 10, 5 and 0 dB.  The sounds that are no
alarm are half synthesised (appliances, lorries, alarm clocks, kettles, birds, each with a rhythm of its own)
and half the clips of ``field-dev`` and ``eval-dev``: birds, music, telephones, doorbells, electronic beeps.
Prints recall within 30 s, the time from the onset to the first detection, false detections, and the CPU time
of a hop.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.scene_sources import RATE, Samples, at_rms, read_mono
from monitor.detection.pattern_finder import PatternFinder
from monitor.model.mel_config import MelConfig, mel_config_of
from monitor.model.spectrogram_cache import SpectrogramCache
from tests.support.alarms import OTHERS, beeps, in_room, mixed, pink_noise, t3, t4, windows_of

SECONDS = 30.0
HOP = RATE // 2

LOW_SHARE = 0.2
"""Share of the alarms at 520 Hz."""

STARTER = mel_config_of(
    {
        "feature_size": 96,
        "hop_length": 505,
        "frequency_min": 50,
        "max_length_s": 1,
        "truncation": "rand_trunc",
    }
)


class Finder:
    """Finds patterns window by window, and counts its CPU time."""

    def __init__(self, mel_config: MelConfig) -> None:
        self.seconds: list[float] = []
        self._mel_config = mel_config

    def first(self, audio: Samples) -> dict[str, float]:
        """Seconds from the beginning to the first window with each pattern."""
        finder, spectrograms = PatternFinder(self._mel_config), SpectrogramCache(self._mel_config)
        found: dict[str, float] = {}
        for window in windows_of(audio, RATE, HOP):
            power = spectrograms.inner(window)
            began = time.thread_time()
            names = finder.observe(window, power)
            self.seconds.append(time.thread_time() - began)
            for name in names:
                found.setdefault(name, window.stop / RATE)
        return found


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--alarms", type=int, default=120, help="of each pattern at each SNR; 0: none")
    arguments = parser.parse_args()
    finder = Finder(STARTER)
    beds = [read_mono(path) for path in sorted(arguments.data.glob("*-dev/beds/*.*"))]
    random = np.random.default_rng([arguments.seed, 0])
    for name, snr_db in product(("t3", "t4"), (10, 5, 0)) if arguments.alarms else ():
        print(line_of(name, snr_db, arguments.alarms, beds, finder, random), flush=True)
    finder.seconds.clear()
    paths = sorted(arguments.data.glob("*-dev/clips/*.*"))
    clips = [read_mono(path) for path in paths if not path.name.startswith("smoke_alarm")]
    for number, (kind, sounds) in enumerate((("recorded", clips), ("synthesised", []))):
        random = np.random.default_rng([arguments.seed, 1 + number])
        false = count_false(sounds, beds, arguments.hours / 2, finder, random)
        print(f"{kind} sounds, {arguments.hours / 2:g} h: false detections {false}", flush=True)
    spent = 1000 * np.array(finder.seconds)
    print(f"CPU: {spent.mean():.2f} ms a hop in the mean, 99 % below {np.quantile(spent, 0.99):.2f} ms")


def line_of(
    name: str, snr_db: int, count: int, beds: Sequence[Samples], finder: Finder, random: np.random.Generator
) -> str:
    """Recall and time to detection of one pattern at one SNR."""
    delays = []
    for _ in range(count):
        onset = random.uniform(2, 5)
        group = (t3 if name == "t3" else t4)(
            beep=random.uniform(0.92, 1.08), pause=random.uniform(0.92, 1.08)
        )
        low = random.random() < LOW_SHARE
        hertz = 520 * random.uniform(0.95, 1.05) if low else random.uniform(2800, 3600)
        dry = beeps(group, SECONDS, hertz, square=low, start=onset)
        wet = in_room(dry, random.uniform(0.2, 0.7), random, direct=random.uniform(0.5, 1.5))
        bed = background(beds, SECONDS, random)
        found = finder.first(mixed(wet, bed, snr_db))
        if name in found:
            delays.append(found[name] - onset)
    return (
        f"{name} at {snr_db} dB: found {len(delays)} of {count} ({len(delays) / count:.3f}), "
        f"after {np.median(delays):.1f} s in the median"
    )


def count_false(
    clips: Sequence[Samples],
    beds: Sequence[Samples],
    hours: float,
    finder: Finder,
    random: np.random.Generator,
) -> dict[str, int]:
    """Stretches of a minute in which a pattern is found though there is no alarm."""
    false = {"t3": 0, "t4": 0}
    for number in range(round(60 * hours)):
        bed = background(beds, 60.0, random) if number % 2 else pink_noise(60, random)
        sound = series(clips, random) if clips else OTHERS[number % len(OTHERS)](60.0, random)
        audio = mixed(
            in_room(sound, random.uniform(0.2, 0.7), random), bed, float(random.choice([20, 10, 0]))
        )
        for name in finder.first(audio):
            false[name] += 1
    return false


def background(beds: Sequence[Samples], seconds: float, random: np.random.Generator) -> Samples:
    """One of the beds from a random place on, over and over."""
    bed = beds[int(random.integers(len(beds)))]
    return np.resize(np.roll(bed, -int(random.integers(len(bed)))), round(seconds * RATE))


def series(clips: Sequence[Samples], random: np.random.Generator) -> Samples:
    """A minute of clips, each of them several times at its own period: what repeats is easily mistaken."""
    out = np.zeros(60 * RATE, dtype=np.float32)
    at = 0
    while at < len(out):
        clip = at_rms(clips[int(random.integers(len(clips)))], 0.1)[: 6 * RATE]
        period = max(len(clip), int(random.uniform(0.5, 6) * RATE))
        for _ in range(int(random.integers(1, 6))):
            part = out[at : at + len(clip)]
            part += clip[: len(part)]
            at += period
    return out


if __name__ == "__main__":
    main()
