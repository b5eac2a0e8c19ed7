"""Unusual sounds: how many foreign events are found, and how often a usual room is unusual, at 1/day.

    python -m benchmarks.unusual --data ../shared/data [--minutes 6] [--days 3]

Three rooms (rain, a crowd, music), each with typing, a ticking clock and frogs now and then, are embedded
for some minutes with the starter. Days are drawn from these windows: runs of real windows, each moved by
a difference between two windows of the same room that lie a second apart (a smoothed bootstrap, as days
of audio would take days to embed). Three days are the neighbours, the fourth sets the threshold at 1/day,
and further days give the true rate. Foreign events are dev clips of sounds that no room has, mixed into
the audio of the rooms at 10 and 0 dB over their own duration. Beside the whitened nearest neighbour: the
nearest neighbour as it is, and the distance to the mean of all windows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from benchmarks.scene_beds import bed
from benchmarks.scene_sources import COUNTED, RATE, Clip, Half, Samples, at_rms, load, read_clips, split
from monitor.config import Config
from monitor.detection.alarm_clusters import Heard
from monitor.detection.alarm_rate import AlarmThreshold, alarm_threshold
from monitor.detection.rules import Rule
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.memory.nearest_neighbours import CANDIDATES, Whiten, coreset, distances, whitening
from monitor.types import Embeddings

ROOMS = ("rain", "crowd", "music")
USUAL = ("keyboard_typing", "clock_tick", "frog")
DAY = 86_400
RUN = 40
"""Windows of a run: twenty seconds."""
PER_HOUR = 1 / 24


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--days", type=int, default=3, help="for the true rate")
    parser.add_argument("--snr", type=int, nargs="+", default=[10, 0], help="of the foreign events, in dB")
    arguments = parser.parse_args()
    engine = load_qualified_engine(Config())
    clips: dict[str, list[Clip]] = {}
    for half in get_args(Half):
        for label, some in split(read_clips(arguments.data), half, 1).items():
            clips.setdefault(label, []).extend(some)

    def embed(audio: Samples) -> Embeddings:
        at_rate = resample_poly(audio, engine.rate, RATE).astype(np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(at_rate, engine.length)[:: engine.hop]
        parts = [engine.model.embed_audio(windows[i : i + 32]) for i in range(0, len(windows), 32)]
        return np.concatenate(parts)

    rule = Rule("unusual", engine.rate, engine.hop, 0.5, 0.5, 2, 3, 0, 1, 0, 0)
    for number, name in enumerate(ROOMS):
        random = np.random.default_rng([6, number])
        audio = room(name, clips, 60 * arguments.minutes, random)
        pool = embed(audio)
        foreign = {
            snr: [embed(scene) for scene in scenes(audio, clips, snr, np.random.default_rng([7, number]))]
            for snr in arguments.snr
        }
        measure(name, pool, foreign, rule, arguments.days, whitening(engine.cohort_norm))


def room(name: str, clips: dict[str, list[Clip]], seconds: float, random: np.random.Generator) -> Samples:
    """Return the audio of a room with its usual sounds."""
    audio = 0.2 * bed(name, clips.get(f"bed {name}", []), seconds, random)
    for label in USUAL:
        for _ in range(round(seconds / 30)):
            sound = load(clips[label][int(random.integers(len(clips[label])))])[: 5 * RATE]
            _add(audio, sound, int(random.integers(len(audio) - len(sound))), float(random.uniform(0, 15)))
    return audio


def scenes(
    audio: Samples, clips: dict[str, list[Clip]], snr: float, random: np.random.Generator
) -> Iterator[Samples]:
    """Yield stretches of a room with one foreign event each, of every label."""
    for label in COUNTED:
        clip = clips[label][int(random.integers(len(clips[label])))]
        start = int(random.integers(len(audio) - 5 * RATE))
        scene = audio[start : start + 5 * RATE].copy()
        _add(scene, load(clip)[: 3 * RATE], RATE, snr)
        yield scene


def _add(audio: Samples, sound: Samples, start: int, snr: float) -> None:
    """Add a sound that is so many dB above what is there."""
    there = audio[start : start + len(sound)]
    level = float(np.sqrt(np.mean(there**2))) * 10 ** (snr / 20)
    there += at_rms(sound, level)[: len(there)]


def day(pool: Embeddings, windows: int, random: np.random.Generator) -> Iterator[Embeddings]:
    """Yield the windows of some time of a room, run by run."""
    for _ in range(-(-windows // RUN)):
        start = int(random.integers(len(pool) - RUN))
        pairs = random.integers(len(pool) - 2, size=RUN)
        moved = pool[start : start + RUN] + (pool[pairs] - pool[pairs + 2]) / np.sqrt(2)
        yield (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def measure(
    name: str,
    pool: Embeddings,
    foreign: dict[int, list[Embeddings]],
    rule: Rule,
    days: int,
    whiten: Whiten,
) -> None:
    """Print what is found in one room."""
    hop, random = rule.hop / rule.rate, np.random.default_rng(8)
    # Three hours of each of three days, as the neighbours of one hour.
    neighbours = np.concatenate(list(day(pool, round(9 * 3600 / hop), random)))
    thin = neighbours[:: -(-len(neighbours) // CANDIDATES)]
    mean = neighbours.mean(axis=0, keepdims=True)
    plain = whitening(None)
    ways: dict[str, tuple[Whiten, Embeddings]] = {
        "whitened nearest neighbour": (whiten, coreset(whiten(thin))),
        "nearest neighbour": (plain, coreset(thin)),
        "mean": (plain, mean / np.linalg.norm(mean)),
    }
    every: dict[str, list[npt.NDArray[np.float32]]] = {way: [] for way in ways}
    for _ in range(1 + days):
        runs = list(day(pool, round(DAY / hop), random))
        for way, (seen, vectors) in ways.items():
            every[way].append(np.concatenate([distances(seen(run), vectors) for run in runs]))
    for way, (seen, vectors) in ways.items():
        first, *later = (_heard(values, rule) for values in every[way])
        found = alarm_threshold(first, PER_HOUR)
        if not isinstance(found, AlarmThreshold):
            print(f"{name}, {way}: {found}", flush=True)
            continue
        shares = []
        for snr, events in foreign.items():
            levels = [_heard(distances(seen(event), vectors), rule).levels.max() for event in events]
            share = np.mean(np.array(levels) >= found.threshold)
            shares.append(f"{share:.2f} of {len(events)} at {snr} dB")
        alarms = sum(_alarms(each, found.threshold) for each in later)
        print(
            f"{name}, {way}: threshold {found.threshold:.3f} ({found.grade}), found {', '.join(shares)}; "
            f"{alarms} alarms in {days} further days",
            flush=True,
        )


def _heard(values: npt.NDArray[np.float32], rule: Rule) -> Heard:
    ended_at = np.arange(len(values), dtype=np.float64) * (rule.hop / rule.rate)
    return Heard.of(ended_at, values, rule)


def _alarms(heard: Heard, threshold: float) -> int:
    times: Sequence[float] = heard.ended_at[heard.levels >= threshold].tolist()
    return int(np.count_nonzero(np.diff(times, prepend=-np.inf) > heard.apart_seconds))


if __name__ == "__main__":
    main()
