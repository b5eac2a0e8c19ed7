"""Where people were heard speaking, up to where that is known, and where nobody was to listen."""

from __future__ import annotations

from collections import deque

from monitor.types import GateReason, Scores

REMEMBERED = 2000
"""Windows with speech that are remembered of each source: more than fit into the ring."""


class SpeechFilter:
    """What the newest windows of one source said of speech; used under a lock."""

    def __init__(self) -> None:
        self.known_until = 0
        """Sample index up to which windows have been heard."""
        self.off_until = 0
        """Sample index up to which listening was switched off."""
        self._speech: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)

    def hear(self, scores: Scores) -> None:
        """Take the next window; of one that could not be judged the worst is assumed."""
        self.known_until = max(self.known_until, scores.stop)
        if scores.gated == GateReason.DISARMED:
            self.off_until = scores.stop
        if scores.speech or scores.gated in {GateReason.NON_FINITE, GateReason.NO_EMBEDDING}:
            self._speech.append((scores.start, scores.stop))

    def heard(self, start: int, stop: int) -> bool:
        """Tell whether any window that reaches into ``[start, stop)`` sounded like speech."""
        return any(first < stop and last > start for first, last in self._speech)
