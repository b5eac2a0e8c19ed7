"""Log lines that others can cause: as many as help a reader, and never as many as others like."""

from __future__ import annotations

import logging
import threading
import time

BURST = 5
"""Lines that may come at once."""

SECONDS = 60.0
"""After a burst, from one line to the next."""


class TroubleLog:
    """Log a few lines at once and then one now and then; the next line says how many were left out.

    Used where a message, a request or a device outside decides how often something is logged; from any
    thread.

    Parameters
    ----------
    logger : logging.Logger
    burst : int
        Lines that may come at once; at least 1.
    seconds : float
        After a burst, from one line to the next; each such time without a line allows one more at once.
    """

    def __init__(self, logger: logging.Logger, *, burst: int = BURST, seconds: float = SECONDS) -> None:
        self.left_out = 0
        """Lines that were not logged since the last that was."""
        self._logger = logger
        self._burst = burst
        self._seconds = seconds
        self._allowed = float(burst)
        self._at = time.monotonic()
        self._lock = threading.Lock()

    @property
    def ready(self) -> bool:
        """Whether a line would be logged now."""
        with self._lock:
            return self._refilled() >= 1

    def warning(self, message: str, *values: object) -> bool:
        """Log a warning, or count that it was left out; True if it was logged."""
        return self.log(logging.WARNING, message, *values)

    def info(self, message: str, *values: object) -> None:
        """Log that something is well again, or was done, or count that it was left out."""
        self.log(logging.INFO, message, *values)

    def log(self, level: int, message: str, *values: object) -> bool:
        """Log at a level of `logging`, or count that it was left out; True if it was logged."""
        with self._lock:
            if not self._logger.isEnabledFor(level):
                return True
            if self._refilled() < 1:
                self.left_out += 1
                return False
            self._allowed -= 1
            left_out, self.left_out = self.left_out, 0
        if left_out:
            message, values = f"{message} (%d lines like this were left out)", (*values, left_out)
        self._logger.log(level, message, *values)
        return True

    def _refilled(self) -> float:
        """How many lines may come at once by now."""
        now = time.monotonic()
        self._allowed = min(self._burst, self._allowed + (now - self._at) / self._seconds)
        self._at = now
        return self._allowed
