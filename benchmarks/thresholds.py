"""Thresholds from a desired rate of false alarms: how near the true rate comes to the desired one.

    python -m benchmarks.thresholds rooms [--repeats 100] [--days 3]
    python -m benchmarks.thresholds ambience --data ../shared/data --out DIR [--minutes 40]

``rooms``: four simulated rooms (`benchmarks.simulated_rooms`) are listened to for some days, again and again;
the target is such that N false alarms are to be expected in that time.  The true rate of each threshold is
counted by the event code in 240 other days.  Beside it: how often the next days, as long as those that were
heard, hold N / 2 to 2 N events, with this threshold and with a perfect one.

``ambience``: the beds of the scenes and typing, first half to set the thresholds of the 17 labels of the
scenes, second half to count.

The seeds are fixed: the same command gives the same figures.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import soundfile

from benchmarks.scene_beds import BEDS, bed
from benchmarks.scene_sources import RATE, Half, read_clips, split
from benchmarks.simulated_rooms import DAY, ROOMS, RULE, scores_of, starts
from benchmarks.trial import LABELS
from monitor.config import load
from monitor.detection.alarm_clusters import Heard, clusters_above
from monitor.detection.alarm_rate import AlarmThreshold, NoThreshold, alarm_threshold
from monitor.detection.rules import rule_of
from monitor.detection.start_levels import score_of
from monitor.evaluation.qualified_engine import load_qualified_engine
from monitor.evaluation.replay import replay

EXPECTED = (1.0, 2.0, 6.0, 12.0)
TRUTH_DAYS = 240
MOST_A_DAY = 12.0
"""Events a day at the lowest threshold whose true rate is counted."""


@dataclass
class Tally:
    """Outcomes of one room and one N."""

    ratios: list[float] = field(default_factory=list)
    """True rate over the desired one."""
    covered: int = 0
    """True rates within the 80 % interval."""
    next_ours: int = 0
    next_perfect: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Return the shares."""
        set_, refused = len(self.ratios), sum(self.refused.values())
        ratios = np.array(self.ratios or [np.nan])
        within = np.mean([_near(ratio, 1.0) for ratio in ratios])
        return (
            f"within a factor of 2: {within:.2f} (median ratio {np.median(ratios):.2f}, "
            f"in the 80 % interval {self.covered / max(1, set_):.2f}); in the next days "
            f"{self.next_ours / max(1, set_):.2f}, perfect {self.next_perfect / max(1, set_):.2f}; "
            f"refused {refused} of {set_ + refused} {dict(self.refused) or ''}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["rooms", "ambience"])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=int, default=40)
    arguments = parser.parse_args()
    if arguments.what == "rooms":
        for room in ROOMS:
            for expected, tally in rooms(room, arguments.days, arguments.repeats).items():
                print(f"{room}, N = {expected:g}: {tally.line()}", flush=True)
        half_hour = Heard.of(np.arange(1800.0), scores_of("quiet", 1, np.random.default_rng(0))[:1800], RULE)
        print(f"1 a day from 30 minutes: {alarm_threshold(half_hour, 1 / 24)}")
    else:
        ambience(arguments.data, arguments.out, arguments.minutes)


def rooms(
    room: str,
    days: int,
    repeats: int,
    *,
    expectations: Sequence[float] = EXPECTED,
    truth_days: int = TRUTH_DAYS,
) -> dict[float, Tally]:
    """Set thresholds from some days of a room, and compare with the truth."""
    levels, rates = truth(room, truth_days)
    tallies = {expected: Tally() for expected in expectations}
    for number in range(repeats):
        random = np.random.default_rng([list(ROOMS).index(room), 1 + number])
        scores = scores_of(room, 2 * days, random)
        known, following = scores[: days * DAY], scores[days * DAY :]
        heard = Heard.of(np.arange(float(len(known))), known, RULE)
        for expected, tally in tallies.items():
            found = alarm_threshold(heard, expected / heard.hours)
            if isinstance(found, NoThreshold):
                tally.refused[found.why.split(":")[0].split(" of ")[-1]] += 1
                continue
            rate = float(np.exp(np.interp(_logit(found.threshold), levels, np.log(rates))))
            perfect = score_of(float(np.interp(-np.log(expected / days), -np.log(rates), levels)))
            tally.ratios.append(rate * days / expected)
            tally.covered += found.rates[0] * 24 <= rate <= found.rates[1] * 24
            tally.next_ours += _near(sum(1 for _ in starts(following, found.threshold)), expected)
            tally.next_perfect += _near(sum(1 for _ in starts(following, perfect)), expected)
    return tallies


def truth(room: str, days: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return levels in logits and the events a day at each, shapes (levels,)."""
    scores = scores_of(room, days, np.random.default_rng([list(ROOMS).index(room), 0]))
    heard = Heard.of(np.arange(float(len(scores))), scores, RULE)
    clusters = clusters_above(heard, round(MOST_A_DAY * days))
    top = float(np.quantile(clusters.excesses, 1 - 0.1 / MOST_A_DAY))
    levels = clusters.level + np.linspace(0.0, top, 14)
    counts = np.array([sum(1 for _ in starts(scores, score_of(float(level)))) for level in levels])
    return levels[counts > 0], counts[counts > 0] / days


def ambience(data: Path, out: Path, minutes: int) -> None:
    """Set thresholds on one half of each ambience and count on the other."""
    config = load(LABELS)
    engine = load_qualified_engine(config)
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    tallies = {expected: Counter[str]() for expected in (6.0, 12.0)}
    for kind in (*BEDS, "keyboard"):
        path = _written(out / f"{kind}.flac", kind, data, 2 * minutes)
        scores = replay(path, config, engine, rules).scores
        values = np.stack([window.values for window in scores])
        ended_at = np.array([window.stop / engine.rate for window in scores])
        half = len(values) // 2
        for place, rule in enumerate(rules):
            heard = Heard.of(ended_at[:half], values[:half, place], rule)
            later = Heard.of(ended_at[half:], values[half:, place], rule)
            for expected, tally in tallies.items():
                found = alarm_threshold(heard, expected / heard.hours)
                if isinstance(found, AlarmThreshold):
                    events = sum(1 for _ in starts(values[half:, place], found.threshold, rule))
                    tally["near" if _near(events, expected) else "few" if events < expected else "many"] += 1
                    own = alarm_threshold(later, expected / later.hours)
                    tally["own half"] += isinstance(own, AlarmThreshold) and _near(
                        sum(1 for _ in starts(values[half:, place], own.threshold, rule)), expected
                    )
                else:
                    tally[f"refused: {found.why.split(':')[0].split(' of ')[-1]}"] += 1
        print(f"so far, with {kind}: {tallies}", flush=True)


def _written(path: Path, kind: str, data: Path, minutes: int) -> Path:
    """Write one ambience, in pieces of ten minutes that need little memory."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    clips = read_clips(data)
    sounds = [clip for half in get_args(Half) for clip in split(clips, half, 1).get(f"bed {kind}", [])]
    random = np.random.default_rng([9, len(kind)])
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(minutes // 10):
            file.write(0.2 * bed(kind, sounds, 600.0, random))
    return path


def _near(events: float, expected: float) -> bool:
    return expected / 2 <= events <= 2 * expected


def _logit(score: float) -> float:
    return float(np.log(score) - np.log1p(-score))


if __name__ == "__main__":
    main()
