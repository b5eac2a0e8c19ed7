"""Qualification before a run; the log, the service manager and `clap-monitor status` show its progress."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from monitor.daemon.control_socket import ControlSocket
from monitor.system import systemd
from monitor.system.threads import ThreadGroup
from monitor.types import MonitorError

log = logging.getLogger(__name__)

_PERCENT = 10
"""Share of the windows after which the log says how far it is."""

_CLOSE_SECONDS = 2.0


class _Progress:
    """How far the qualification is; opens the control socket once it begins.

    Parameters
    ----------
    state : Path
        The state directory.
    notify : callable
        As `systemd.notify`.
    """

    def __init__(self, state: Path, notify: Callable[..., object]) -> None:
        self._percent = -1
        self._notify = notify
        self._ended = threading.Event()
        self._threads = ThreadGroup(self._ended)
        self._socket = ControlSocket(state, dict.fromkeys(("status", "watch", "reload"), self._answer))

    def show(self, done: int, of: int) -> None:
        """Take how many windows are done, and of how many."""
        before, self._percent = self._percent, 100 * done // max(1, of)
        if before < 0 and self._socket.open():
            self._threads.start("answer while qualifying", self._socket.run)
        if before // _PERCENT != self._percent // _PERCENT:
            log.info("qualifying the checkpoint: %d %%", self._percent)
            self._notify(f"STATUS=qualifying the checkpoint: {self._percent} %")

    def close(self) -> None:
        """Close the control socket: that of the monitor follows."""
        self._socket.close()
        self._threads.join(_CLOSE_SECONDS)

    def _answer(self, _request: Mapping[str, Any]) -> NoReturn:
        raise MonitorError(
            f"qualifying the checkpoint, once: {max(0, self._percent)} % done; nothing is detected until then"
        )


@contextmanager
def qualifying(
    state: Path, notify: Callable[..., object] = systemd.notify
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the progress of a qualification, if there is one.

    Parameters
    ----------
    state : Path
        The state directory.
    notify : callable
        As `systemd.notify`.
    """
    progress = _Progress(state, notify)
    try:
        yield progress.show
    finally:
        progress.close()
