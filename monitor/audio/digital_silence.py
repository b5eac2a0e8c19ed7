"""Digital silence: exact zeros, which are no quiet room but a source that is muted or broken.

Samples that no sound can have are as bad: no window that holds one is scored.
One rule for every live source: after 8 s of either it is offline, until its next sound.
In a recording that is read as fast as possible they are what was recorded.
"""

from __future__ import annotations

import logging

from monitor.audio.level import is_plausible
from monitor.audio.source_status import SourceStatus
from monitor.system.trouble_log import TroubleLog
from monitor.types import OfflineReason, Samples

log = logging.getLogger(__name__)

SILENCE_SECONDS = 8.0

_WHY = f"nothing but digital silence for {SILENCE_SECONDS:.0f} s: is it muted?"
_WHY_SPOILED = (
    f"samples that no sound can have for {SILENCE_SECONDS:.0f} s: are its format and its channels what is "
    "configured?"
)
_CALM_SECONDS = 1.0
"""Without such a sample, until what comes is sound again; no window is shorter."""


LINES = 20
"""About a source that comes and goes, at once; then one a minute."""


class DigitalSilence:
    """Note in the status of a source whether it hears, and say when that changes.

    Parameters
    ----------
    status : SourceStatus
        Writes ``offline_at``, ``offline_reason`` and ``offline_text``.
    """

    def __init__(self, status: SourceStatus) -> None:
        self.seconds = 0.0
        """Of exact zeros up to now."""
        self._status = status
        self._log = TroubleLog(log, burst=LINES)
        self._spoiled = 0.0
        self._calm = _CALM_SECONDS

    @property
    def offline(self) -> bool:
        """There have been zeros, or what is no sound, for so long that the source counts as offline."""
        return self.seconds >= SILENCE_SECONDS or self._spoiled >= SILENCE_SECONDS

    def hear(self, samples: Samples, rate: int) -> None:
        """Take note of what a source delivers.

        Parameters
        ----------
        samples : float32, shape (n,)
            One that is no number is no silence.
        rate : int
            Hz.
        """
        seconds = len(samples) / rate
        sound = is_plausible(samples)
        # First: numpy warns of a signalling NaN in whatever else it is asked of.
        self.seconds = 0.0 if not sound or samples.any() else self.seconds + seconds
        self._calm = self._calm + seconds if sound else 0.0
        self._spoiled = self._spoiled + seconds if self._calm < _CALM_SECONDS else 0.0
        if self.offline:
            spoiled = self._spoiled >= SILENCE_SECONDS
            why = _WHY_SPOILED if spoiled else _WHY
            if self._status.set_offline(
                OfflineReason.NON_FINITE if spoiled else OfflineReason.DIGITAL_SILENCE, why
            ):
                self._log.warning("source %s is offline: %s", self._status.name, why)
        elif self._status.set_online():
            self._log.warning("source %s is online again", self._status.name)
