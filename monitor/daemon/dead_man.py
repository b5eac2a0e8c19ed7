"""The last resort: a process whose main thread does not move any more ends itself, and says where it was.

Everything else that watches is itself a thread of Python, and waits for ever if a library in C keeps the
interpreter's lock.  What watches here waits for nobody.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
from typing import TextIO


class DeadMan:
    """Ends the process with exit code 1 unless it is told often enough that all is well.

    Only the main thread can be watched, and only one at a time; for any other it does nothing.

    Parameters
    ----------
    seconds : float
        From one sign of life to the next, at most.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watches = threading.current_thread() is threading.main_thread() and can_be_written(sys.stderr)

    def is_well(self) -> None:
        """Wait for the next sign of life from now on."""
        if self._watches:
            faulthandler.dump_traceback_later(self._seconds, exit=True)

    def rest(self) -> None:
        """Watch no more."""
        if self._watches:
            faulthandler.cancel_dump_traceback_later()


def can_be_written(stream: TextIO | None) -> bool:
    """Tell whether a stream is a file of the system, as what is written without the interpreter must be."""
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):
        return False
