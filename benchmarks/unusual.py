"""Unusual sounds: how many foreign events are found, and how often a usual room is unusual, at 1/day.

    python -m benchmarks.unusual --data ../shared/data [--minutes 3] [--days 4] [--rooms rain crowd music]

Rooms (rain, a crowd, music, wind, room tone, a machine), each with typing, a ticking clock and frogs now and
then, are embedded for some minutes with the starter. Days are drawn from these windows: runs of real
windows, each moved by a difference between two windows of the same room that lie a second apart (a smoothed
bootstrap, as days of audio would take days to embed). Four days are remembered: they give the reference, and
the threshold at 1/day, each day compared with the others, as `clap-monitor run` does it. Further days give
the true rate. Foreign events are dev clips of sounds that no room has, mixed into the audio of the rooms at
10 and 0 dB over their own duration. With ``--compare``, the nearest neighbour without whitening, and the
distance to the mean of all windows, beside it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from monitor.detection.alarm_words import basis
from monitor.detection.nearest_neighbours import Whiten, coreset, distances, thinned, whitening
from monitor.detection.rules import Rule
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.types import Embeddings

ROOMS = ("rain", "crowd", "music", "wind", "room", "machine")
USUAL = ("keyboard_typing", "clock_tick", "frog")
MEAN = "distance to the mean"
DAY = 86_400
RUN = 40
"""Windows of a run: twenty seconds."""
PER_HOUR = 1 / 24
REMEMBERED = 4
"""Days."""
NEIGHBOUR_SECONDS = 3 * 3600
"""Of each day, around one time of day."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--days", type=int, default=4, help="for the true rate")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=ROOMS)
    parser.add_argument("--compare", action="store_true", help="with other distances")
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

    ways = {"whitened nearest neighbour": whitening(engine.cohort_norm)}
    if arguments.compare:
        ways |= {"nearest neighbour": whitening(None), MEAN: whitening(None)}
    rule = Rule("unusual", engine.rate, engine.hop, 0.5, 0.5, 2, 3, 0, 1, 0, 0)
    for name in arguments.rooms:
        number = ROOMS.index(name)
        random = np.random.default_rng([6, number])
        audio = room(name, clips, 60 * arguments.minutes, random)
        pool = embed(audio)
        foreign = {
            snr: [embed(scene) for scene in scenes(audio, clips, snr, np.random.default_rng([7, number]))]
            for snr in arguments.snr
        }
        for way, whiten in ways.items():
            room_of_days = Room(pool, rule, whiten, mean=way == MEAN)
            print(f"{name}, {way}: {room_of_days.measured(foreign, arguments.days)}", flush=True)


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


@dataclass(frozen=True, eq=False)
class Room:
    """A room over days, heard through one kind of distance."""

    pool: Embeddings
    rule: Rule
    whiten: Whiten
    mean: bool
    """Compare with the mean of all windows."""

    def measured(self, foreign: dict[int, list[Embeddings]], days: int) -> str:
        """Return what is found, as text."""
        random, hop = np.random.default_rng(8), self.rule.hop / self.rule.rate
        parts = [
            np.concatenate(list(day(self.pool, round(NEIGHBOUR_SECONDS / hop), random)))
            for _ in range(REMEMBERED)
        ]
        remembered = [
            self._day(self._reference(parts[:own] + parts[own + 1 :]), random) for own in range(REMEMBERED)
        ]
        found = alarm_threshold(_heard(np.concatenate(remembered), self.rule), PER_HOUR)
        if not isinstance(found, AlarmThreshold):
            return str(found)
        reference = self._reference(parts)
        shares = []
        for snr, events in foreign.items():
            levels = [_heard(self._distances(event, reference), self.rule).levels.max() for event in events]
            shares.append(f"{np.mean(np.array(levels) >= found.threshold):.2f} of {len(events)} at {snr} dB")
        alarms = [
            _alarms(_heard(self._day(reference, random), self.rule), found.threshold) for _ in range(days)
        ]
        return (
            f"threshold {found.threshold:.3f} ({basis(found)}), found {', '.join(shares)}; "
            f"{sum(alarms)} alarms in {days} further days"
        )

    def _reference(self, parts: list[Embeddings]) -> Embeddings:
        every = np.concatenate(parts)
        if self.mean:
            return (every.mean(axis=0) / np.linalg.norm(every.mean(axis=0)))[None]
        return coreset(self.whiten(thinned(every)))

    def _day(self, reference: Embeddings, random: np.random.Generator) -> npt.NDArray[np.float32]:
        runs = day(self.pool, round(DAY * self.rule.rate / self.rule.hop), random)
        return np.concatenate([self._distances(run, reference) for run in runs])

    def _distances(self, windows: Embeddings, reference: Embeddings) -> npt.NDArray[np.float32]:
        return distances(self.whiten(windows), reference)


def _heard(values: npt.NDArray[np.float32], rule: Rule) -> Heard:
    ended_at = np.arange(len(values), dtype=np.float64) * (rule.hop / rule.rate)
    return Heard.of(ended_at, values, rule)


def _alarms(heard: Heard, threshold: float) -> int:
    times: Sequence[float] = heard.ended_at[heard.levels >= threshold].tolist()
    return int(np.count_nonzero(np.diff(times, prepend=-np.inf) > heard.apart_seconds))


if __name__ == "__main__":
    main()
