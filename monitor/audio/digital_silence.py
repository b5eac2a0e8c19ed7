"""Digital silence: exact zeros, which mean a muted or broken source, not a quiet room.

Implausible samples are as bad: a window that holds one is not scored.  Every live source is offline after
8 s of either, until its next plausible sound.  In a recording that is replayed fast they are accepted.
"""

from __future__ import annotations

import logging

from monitor.audio.level import is_plausible
from monitor.audio.source_status import SourceStatus
from monitor.system.trouble_log import TroubleLog
from monitor.types import OfflineReason, Samples

log = logging.getLogger(__name__)

SILENCE_SECONDS = 8.0

_SILENT = f"nothing but digital silence for {SILENCE_SECONDS:.0f} s: is it muted?"
_IMPLAUSIBLE = f"implausible samples for {SILENCE_SECONDS:.0f} s: are its format and channels as configured?"
_CALM_SECONDS = 1.0
"""Time without an implausible sample until the audio is plausible again; no window is shorter."""


LINES = 20
"""Log lines about a source that comes and goes, at once; then one a minute."""


class DigitalSilence:
    """Sets a source offline while it delivers digital silence or implausible samples, and logs changes."""

    def __init__(self, status: SourceStatus) -> None:
        self.seconds = 0.0
        """Seconds of exact zeros up to now."""
        self._status = status
        self._log = TroubleLog(log, burst=LINES)
        self._implausible = 0.0
        self._calm = _CALM_SECONDS

    @property
    def offline(self) -> bool:
        """There have been zeros or implausible samples for so long that the source counts as offline."""
        return self.seconds >= SILENCE_SECONDS or self._implausible >= SILENCE_SECONDS

    def observe(self, samples: Samples, rate: int) -> None:
        """Observe the audio that a source delivers, shape (n,), at ``rate`` in Hz; a NaN is not silence."""
        seconds = len(samples) / rate
        plausible = is_plausible(samples)
        # This order: numpy warns about a signalling NaN in any other operation.
        self.seconds = 0.0 if not plausible or samples.any() else self.seconds + seconds
        self._calm = self._calm + seconds if plausible else 0.0
        self._implausible = self._implausible + seconds if self._calm < _CALM_SECONDS else 0.0
        if self.offline:
            implausible = self._implausible >= SILENCE_SECONDS
            why = _IMPLAUSIBLE if implausible else _SILENT
            if self._status.set_offline(
                OfflineReason.NON_FINITE if implausible else OfflineReason.DIGITAL_SILENCE, why
            ):
                self._log.warning("source %s is offline: %s", self._status.name, why)
        elif self._status.set_online():
            self._log.warning("source %s is online again", self._status.name)
