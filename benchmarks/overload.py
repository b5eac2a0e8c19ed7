"""A machine that becomes too slow for its model: what is scored is still new, and it recovers.

A real daemon with the full-size model on one core hears a recording at the pace of time, first alone, then
beside processes that want the same core, then alone again::

    python -m benchmarks.overload [--hop 0.5] [--burners 3] [--seconds 40] [--dtype float32] [--model PATH]

The age of a window is the time from its end until its turn comes; exit 1 if one was older than two hops, if
a window is neither scored nor counted as left out, or if windows are left out once it is over.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.full_size import build_full_size
from benchmarks.many_sources import DEMO
from monitor.config import Config, LabelConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.types import Embeddings, Scores
from tests.support.broker import eventually
from tests.support.observer import Observer

MOST_HOPS = 2
"""How old a window may be when its turn comes."""

RECOVERS_SECONDS = 5.0
"""After the end of the trouble, not judged: what was due in it is still left out and counted."""

PHASES = ("alone", "beside", "alone again")


@dataclass
class Phase:
    """What was seen in one of them."""

    ages: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    late: int = 0


class Watch:
    """Sees every window on its way through the daemon."""

    def __init__(self) -> None:
        self.phases = {name: Phase() for name in PHASES}
        self.now: str | None = None
        self.due: list[tuple[int, int]] = []
        self._turn = 0.0

    def around(self, tower: object) -> object:
        """Stand around the audio tower, and see when it is asked."""

        def asked(spectrograms: NDArray[np.float32]) -> Embeddings:
            self._turn = time.time()
            return tower(spectrograms)  # type: ignore[operator]

        return asked

    def scored(self, scores: Scores) -> None:
        """See what came of it."""
        self.due.append((scores.start, scores.stop))
        if self.now is not None:
            self.phases[self.now].ages.append(self._turn - scores.ended_at)
            self.phases[self.now].delays.append(time.time() - scores.ended_at)


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hop", type=float, default=0.5)
    parser.add_argument("--burners", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each of the three parts")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--model", help="a checkpoint, instead of random weights of full size")
    given = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        model = given.model or str(build_full_size(place / "full-size"))
        watch = Watch()
        daemon = Daemon(build(configuration(place, model, given), around=watch.around))  # type: ignore[arg-type]
        thread = threading.Thread(target=course, args=(daemon, watch, core, given), daemon=True)
        thread.start()
        daemon.run(Observer(on_scores=watch.scored))
        thread.join()
        return report(daemon, watch, given)


def configuration(place: Path, model: str, given: argparse.Namespace) -> Config:
    """One source, long enough, and nothing but the analysis."""
    demo, rate = soundfile.read(DEMO, dtype="float32")
    path = place / "long.flac"
    soundfile.write(path, np.resize(demo, round((4 * given.seconds + 120) * rate)), rate)
    return Config.model_validate(
        {
            "model": {"checkpoint": model, "dtype": given.dtype, "threads": 1},
            "sources": [{"name": "room", "kind": "file", "path": path}],
            "labels": (LabelConfig(id="dog", prompts=("a dog barking",)),),
            "window": {"hop_seconds": given.hop},
            "state": place / "state",
        }
    )


def course(daemon: Daemon, watch: Watch, core: int, given: argparse.Namespace) -> None:
    """Alone, beside others, alone again."""
    eventually(lambda: watch.due, 300)
    time.sleep(RECOVERS_SECONDS)
    part(daemon, watch, PHASES[0], given.seconds)
    with burning(given.burners, core):
        part(daemon, watch, PHASES[1], given.seconds)
    time.sleep(RECOVERS_SECONDS)
    part(daemon, watch, PHASES[2], given.seconds)
    daemon.stop()


def part(daemon: Daemon, watch: Watch, name: str, seconds: float) -> None:
    """One of the three."""
    before = daemon.parts.status["room"].late
    watch.now = name
    time.sleep(seconds)
    watch.now = None
    watch.phases[name].late = daemon.parts.status["room"].late - before


@contextmanager
def burning(count: int, core: int) -> Iterator[None]:
    """Processes that want a core; each in a session of its own, for Linux shares a core out by session."""
    program = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    burners = [
        subprocess.Popen([sys.executable, "-c", program], start_new_session=True) for _ in range(count)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def report(daemon: Daemon, watch: Watch, given: argparse.Namespace) -> int:
    """Print what was seen; 1 if it is not good enough."""
    status = daemon.parts.status["room"]
    starts = [start for start, _ in watch.due]
    hop = round(given.hop * 48_000)
    due = (starts[-1] - starts[0]) // hop + 1
    print(f"hop {given.hop:g} s, {given.burners} beside it, one core, {given.seconds:g} s each")
    for name, phase in watch.phases.items():
        oldest = max(phase.ages, default=float("nan")) / given.hop
        median = float(np.median(phase.delays)) if phase.delays else float("nan")
        print(
            f"{name:<12} {len(phase.ages):4} scored, {phase.late:4} left out; the turn of a window comes "
            f"at most {oldest:.2f} hops after its end; its scores {median:.2f} s after it (median)"
        )
    unaccounted = due - len(starts) - status.late
    print(f"windows due {due}, scored {len(starts)}, left out {status.late}, unaccounted for {unaccounted}")
    print(f"samples lost {status.lost}")
    ages = [age for phase in watch.phases.values() for age in phase.ages]
    good = (
        watch.phases[PHASES[1]].late > 0
        and not watch.phases[PHASES[2]].late
        and not unaccounted
        and starts == sorted(set(starts))
        and max(ages) <= MOST_HOPS * given.hop
    )
    print("good" if good else "not good enough")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
