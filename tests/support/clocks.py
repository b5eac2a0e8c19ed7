"""Clocks to test with."""

import time
from types import SimpleNamespace

from monitor.system.wall_clock import WallClock

DAY = 86_400.0


def settled(at):
    """Return a clock that went on without a jump for so long that it is believed, and now stands still."""
    passed = [0.0]
    clock = WallClock(now=lambda: at - 8 * DAY + passed[0], passed=lambda: passed[0])
    passed[0] = 8 * DAY
    return clock


def begin_recordings_at(monkeypatch, at):
    """Let sound files that are opened from now on begin at a Unix time."""
    clock = SimpleNamespace(time=lambda: at, monotonic=time.monotonic)
    monkeypatch.setattr("monitor.audio.sources.ffmpeg.file.time", clock)
