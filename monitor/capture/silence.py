"""Digital silence: exact zeros, which are no quiet room but a source that is muted or broken.

One rule for every source that is heard as it happens: after 8 s of them it is deaf, until its first sound.
In a recording that is read as fast as possible they are what was recorded.
"""

from __future__ import annotations

import logging

from monitor.status import SourceStatus
from monitor.types import Samples

log = logging.getLogger(__name__)

SILENCE_SECONDS = 8.0

_WHY = f"nothing but digital silence for {SILENCE_SECONDS:.0f} s: is it muted?"


class Silence:
    """Note in the status of a source whether it hears, and say when that changes.

    Parameters
    ----------
    status : SourceStatus
        Writes ``deaf_since`` and ``trouble``.
    """

    def __init__(self, status: SourceStatus) -> None:
        self.seconds = 0.0
        """Of exact zeros up to now."""
        self._status = status

    @property
    def deaf(self) -> bool:
        """There have been zeros for so long that the source counts as deaf."""
        return self.seconds >= SILENCE_SECONDS

    def hear(self, samples: Samples, rate: int) -> None:
        """Take note of what a source delivers.

        Parameters
        ----------
        samples : float32, shape (n,)
            One that is no number is no silence.
        rate : int
            Hz.
        """
        self.seconds = 0.0 if samples.any() else self.seconds + len(samples) / rate
        if self.deaf:
            if self._status.deaf(_WHY):
                log.warning("source %s is deaf: %s", self._status.name, _WHY)
        elif self._status.hears():
            log.warning("source %s hears again", self._status.name)
