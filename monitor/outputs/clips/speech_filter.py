"""Speech filter: where speech was detected, up to where that is known, and where detection was off."""

from __future__ import annotations

from collections import deque

from monitor.types import GateReason, Scores

MAX_WINDOWS = 2000
"""Windows with speech that are remembered per source: more than fit into the ring buffer."""


class SpeechFilter:
    """Speech in the newest windows of one source; used under a lock."""

    def __init__(self) -> None:
        self.judged_until = 0
        """Sample index after the newest window."""
        self.disarmed_until = 0
        """Sample index up to which detection was off."""
        self._speech: deque[tuple[int, int]] = deque(maxlen=MAX_WINDOWS)

    def observe(self, scores: Scores) -> None:
        """Observe the next window; one that could not be judged counts as speech."""
        self.judged_until = max(self.judged_until, scores.stop)
        if scores.gated == GateReason.DISARMED:
            self.disarmed_until = scores.stop
        if scores.speech or scores.gated in {GateReason.NON_FINITE, GateReason.NO_EMBEDDING}:
            self._speech.append((scores.start, scores.stop))

    def has_speech(self, start: int, stop: int) -> bool:
        """Return whether a window that overlaps ``[start, stop)`` sounded like speech."""
        return any(first < stop and last > start for first, last in self._speech)
