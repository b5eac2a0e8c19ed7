"""Watchdog: tells the service manager that the monitor loads, is ready, works and stops, and finds hangs.

The service manager's watchdog is fed only while every source makes progress: its windows are scored, or it
is known to have nothing to score.  `monitor.daemon.progress` decides when a source has stalled.
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
"""Start timeout asked of systemd at once; it must be asked again within this time."""

LOADING_SECONDS = 1800.0
"""A load that takes longer counts as hung: no more time is asked for, and systemd restarts the service."""

HOPELESS = 3
"""A stage without progress for this many times the patience counts as hung."""

Notify = Callable[..., object]
"""As `systemd.notify`."""


@contextmanager
def loading(
    what: str,
    *,
    notify: Notify = systemd.notify,
    every_seconds: float = EXTENSION_SECONDS / 4,
    at_most_seconds: float = LOADING_SECONDS,
) -> Iterator[None]:
    """Report loading to systemd, and extend the start timeout until it is done.

    ``what`` is for ``systemctl status``.  After ``at_most_seconds`` the timeout is not extended any more.
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
    """A stage of the pipeline has stopped making progress."""


class AwakeClock:
    """Clock that counts a time in which the process was stopped as ``most_seconds`` at most."""

    def __init__(self, most_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._most = most_seconds
        self._monotonic = monotonic
        self._asked_at = monotonic()
        self._awake = 0.0

    def now(self) -> float:
        """Return seconds since the clock was made; call it often."""
        now = self._monotonic()
        self._awake += min(now - self._asked_at, self._most)
        self._asked_at = now
        return self._awake


class Watchdog:
    """Checks whether each source makes progress, and reports it to systemd.

    Once a source has made no progress for ``patience_seconds``, systemd's watchdog is not fed any more.
    ``length`` is that of a window, in samples.
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

    def report(self, status: str, now: float) -> None:
        """Report to systemd; call it at least twice within the timeout of systemd's watchdog.

        ``status`` is one line, for ``systemctl status``; ``now`` is in monotonic seconds.
        """
        alive = not [name for name, progress in self._progress.items() if progress.stalled(now)]
        news = []
        if not self.ready and self.becomes_ready():
            self.ready = True
            news.append("READY=1")
        if alive:
            # Once the service is ready, this would extend the watchdog's timeout, too.
            news.append("WATCHDOG=1" if self.ready else _extension())
        self._notify(f"STATUS={status}" if self.ready else f"STATUS=starting: {status}", *news)

    def becomes_ready(self) -> bool:
        """Return whether a window was analysed, or every source is known to be offline or at its end."""
        scored = any(status.scored_until > 0 for status in self._sources.values())
        return scored or all(progress.inactive for progress in self._progress.values())

    def hung(self, now: float) -> HangError | None:
        """Log and return the error of a stage that hangs; None if none does."""
        stage = self._hanging(now)
        if stage is None:
            return None
        error = HangError(f"{stage!r} hangs: no progress for {self._hopeless_seconds:.0f} s")
        log.critical("%s; the monitor ends, so that systemd restarts it", error)
        if can_be_written(sys.stderr):
            faulthandler.dump_traceback(all_threads=True)
        return error

    def stopping(self) -> None:
        """Report to systemd that the monitor is stopping."""
        self._notify("STOPPING=1", "STATUS=ending")

    def online(self, name: str) -> bool:
        """Return whether a source delivers audio."""
        return self._sources[name].captured > 0 and not self._progress[name].inactive

    def fell_behind(self, now: float) -> list[str]:
        """Return the sources whose windows are late, each once per stretch of lateness."""
        return [name for name, progress in self._progress.items() if progress.fell_behind(now)]

    def health(self, name: str, now: float, *, rate: int, hop: int) -> Health:
        """Return the health of a source; call `fell_behind` first.  ``rate`` is in Hz, ``hop`` in samples."""
        status = self._sources[name]
        outage = status.outage
        return Health(
            online=self.online(name),
            offline_reason=None if outage is None else outage.reason,
            offline_text=None if outage is None else outage.text,
            overloaded=self._progress[name].behind(now),
            dropped_seconds=(status.lost + status.late * hop) / rate,
        )

    def _hanging(self, now: float) -> str | None:
        stalled = {
            name: progress
            for name, progress in self._progress.items()
            if progress.stalled_seconds(now) > self._hopeless_seconds
        }
        if any(progress.due for progress in stalled.values()):
            return "analyse"
        return next((f"listen {name}" for name in stalled), None)


def _extension() -> str:
    return f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1e6:.0f}"


class DeadMan:
    """Last resort: exit code 1 if the main thread does not call `keep_alive` for this many seconds.

    Every other watchdog is a Python thread, which waits for ever if a C library keeps the interpreter's
    lock; this one is a thread of `faulthandler`.  In another thread than the main one it does nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._active = threading.current_thread() is threading.main_thread() and can_be_written(sys.stderr)

    def keep_alive(self) -> None:
        """Start the time anew."""
        if self._active:
            faulthandler.dump_traceback_later(self._seconds, exit=True)

    def stop(self) -> None:
        """End the supervision."""
        if self._active:
            faulthandler.cancel_dump_traceback_later()


def can_be_written(stream: TextIO | None) -> bool:
    """Return whether a stream has a file descriptor, as `faulthandler` needs."""
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):
        return False
