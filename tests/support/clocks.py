"""Clocks to test with."""

from monitor.system.wall_clock import WallClock

DAY = 86_400.0


def settled(at):
    """Return a clock that went on without a jump for so long that it is believed, and now stands still."""
    passed = [0.0]
    clock = WallClock(now=lambda: at - 8 * DAY + passed[0], passed=lambda: passed[0])
    passed[0] = 8 * DAY
    return clock
