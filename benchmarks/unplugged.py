"""Unplugged microphone: how soon the monitor knows that it is gone, and that it is back; exit 1 if too late.

A virtual sound card is taken away and brought back under a real daemon, while a subscriber of a real broker
reads the status of the source::

    python -m benchmarks.unplugged [--rounds 10]

At most 10 s may pass from the loss to ``offline``, and 5 s from the return to ``online``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.broker import Broker
from tests.support.monitor_in_process import RunningMonitor
from tests.support.sound_card import plugged_in

GONE_SECONDS, BACK_SECONDS = 10.0, 5.0


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    gone, back = [], []
    with (
        tempfile.TemporaryDirectory() as directory,
        plugged_in() as card,
        Broker(Path(directory)) as broker,
    ):
        card.hum()
        with RunningMonitor.of_microphones(broker, Path(directory), card.microphone) as monitor:
            monitor.until(card.microphone, "online")
            for number in range(rounds):
                monitor.until_scored(card.microphone)
                gone.append(_seconds_until(monitor, card.microphone, "offline", card.unload))
                card.load()
                back.append(_seconds_until(monitor, card.microphone, "online", card.hum))
                print(f"{number + 1}: offline after {gone[-1]:.1f} s, online after {back[-1]:.1f} s")
    print(f"at most: offline after {max(gone):.1f} s, online after {max(back):.1f} s")
    good = max(gone) <= GONE_SECONDS and max(back) <= BACK_SECONDS
    print("good" if good else "not good enough")
    return 0 if good else 1


def _seconds_until(monitor: RunningMonitor, source: str, state: str, what: Callable[[], object]) -> float:
    began = time.monotonic()
    what()
    monitor.until(source, state)
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
