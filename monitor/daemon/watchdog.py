"""What the service manager is told, and when: loading, ready, alive, stopping.

Alive means progress: the watchdog is fed only while every source is being scored, or is known and
shown to have nothing to score.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from monitor.audio.source_status import Health, SourceStatus
from monitor.daemon.progress import Progress
from monitor.system import systemd
from monitor.system.threads import ThreadGroup

log = logging.getLogger(__name__)

EXTENSION_SECONDS = 60.0
"""Asked for at once while starting; systemd gives up if it is not asked again within it."""

LOADING_SECONDS = 1800.0
"""A load that takes longer hangs: nothing more is asked for, and systemd starts anew."""

HOPELESS = 3
"""Who has not moved for so many times the patience hangs, and will not move again."""

Notify = Callable[..., object]
"""`systemd.notify`, or what stands in for it."""


@contextmanager
def loading(
    what: str,
    *,
    notify: Notify = systemd.notify,
    every_seconds: float = EXTENSION_SECONDS / 4,
    at_most_seconds: float = LOADING_SECONDS,
) -> Iterator[None]:
    """Say that something is being loaded, and ask for more time until it is.

    Parameters
    ----------
    what : str
        For ``systemctl status``.
    notify : callable
    every_seconds : float
        From one request to the next.
    at_most_seconds : float
        After so long no more time is asked for.
    """
    loaded = threading.Event()
    threads = ThreadGroup(loaded)

    def ask() -> None:
        for _ in range(round(at_most_seconds / every_seconds)):
            notify(_extension())
            if loaded.wait(every_seconds):
                return

    notify(f"STATUS=loading {what}")
    threads.start("loading", ask)
    try:
        yield
    finally:
        loaded.set()
        threads.join(2 * systemd.SEND_SECONDS)


class HangError(Exception):
    """A stage has not moved for so long that it will not move again."""


class AwakeClock:
    """Seconds in which this process ran: what it was stopped for counts as no more than ``most_seconds``."""

    def __init__(self, most_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most_seconds
        self._monotonic = monotonic
        self._asked_at = monotonic()
        self._awake = 0.0

    def now(self) -> float:
        """Seconds since it was made; to be asked often."""
        now = self._monotonic()
        self._awake += min(now - self._asked_at, self._most)
        self._asked_at = now
        return self._awake


class Watchdog:
    """Judges once in a while whether the monitor works, and says so.

    Parameters
    ----------
    sources : mapping of str to SourceStatus
        All there are, by name.
    patience_seconds : float
        How long nothing of a source may be scored before the watchdog starves.
    now : float
        Monotonic seconds.
    length : int
        Samples of a window.
    notify : callable
    """

    def __init__(
        self,
        sources: Mapping[str, SourceStatus],
        patience_seconds: float,
        now: float,
        *,
        length: int = 1,
        notify: Notify = systemd.notify,
    ) -> None:
        self.ready = False
        self._sources = sources
        self._hopeless_seconds = HOPELESS * patience_seconds
        self._progress = {
            name: Progress(status, patience_seconds, now, length=length) for name, status in sources.items()
        }
        self._notify = notify

    def tell(self, status: str, now: float) -> None:
        """Say how it goes; to be called at least twice in the time that the watchdog allows.

        Parameters
        ----------
        status : str
            One line, for ``systemctl status``.
        now : float
            Monotonic seconds.
        """
        alive = not [name for name, progress in self._progress.items() if progress.stalled(now)]
        news = []
        if not self.ready and self._hears_or_waits():
            self.ready = True
            news.append("READY=1")
        if alive:
            # Once it is ready, more time would be given to the watchdog, too.
            news.append("WATCHDOG=1" if self.ready else _extension())
        self._notify(f"STATUS={status}" if self.ready else f"STATUS=starting: {status}", *news)

    def hung(self, now: float) -> HangError | None:
        """Return what is to be said of a stage that hangs, once it is logged; None if none does."""
        stage = self._hanging(now)
        if stage is None:
            return None
        error = HangError(f"{stage!r} hangs: it has not moved for {self._hopeless_seconds:.0f} s")
        log.critical("%s; the monitor ends, so that it can be started anew", error)
        if can_be_written(sys.stderr):
            faulthandler.dump_traceback(all_threads=True)
        return error

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._notify("STOPPING=1", "STATUS=ending")

    def online(self, name: str) -> bool:
        """Tell whether a source delivers audio."""
        return self._sources[name].captured > 0 and not self._progress[name].inactive

    def fell_behind(self, now: float) -> list[str]:
        """Names of the sources of which windows are left out, each once for a stretch of lateness."""
        return [name for name, progress in self._progress.items() if progress.fell_behind(now)]

    def health(self, name: str, now: float, *, rate: int, hop: int) -> Health:
        """Say what is wrong with a source; `fell_behind` is to be asked before.

        Parameters
        ----------
        name : str
        now : float
            Monotonic seconds.
        rate : int
            Hz.
        hop : int
            Samples from one window to the next.
        """
        status = self._sources[name]
        return Health(
            online=self.online(name),
            offline_reason=status.offline_reason,
            offline_text=status.offline_text,
            overloaded=self._progress[name].behind(now),
            dropped_seconds=(status.lost + status.late * hop) / rate,
        )

    def _hanging(self, now: float) -> str | None:
        """Name the stage that hangs, as its thread is called."""
        still = {
            name: progress
            for name, progress in self._progress.items()
            if progress.still_seconds(now) > self._hopeless_seconds
        }
        if any(progress.due for progress in still.values()):
            return "analyse"
        return next((f"listen {name}" for name in still), None)

    def _hears_or_waits(self) -> bool:
        """A window has been through the analysis, or there is none because no device is there yet."""
        scored = any(status.scored_until > 0 for status in self._sources.values())
        return scored or all(progress.inactive for progress in self._progress.values())


def _extension() -> str:
    return f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1e6:.0f}"


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
