"""Child process: runs an external command with a limit to its time and its output.

A supervisor, `command_supervisor`, starts the command.  So all its descendants end when its time is over,
including those that left its session or process group.
"""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from monitor.system import command_supervisor

TAIL_BYTES = 2000
"""End of a child's output that is kept for the log."""

MOST_LEFT = 16
"""Commands that have ended and left processes running; with one more, the oldest is ended at once."""

_POLL_SECONDS = 0.1
"""How often ``give_up_at`` is called: the end of a child may come closer."""

_LOST_SECONDS = 2.0
"""A supervisor that does not answer for this long is given up."""

_PIPE_READS = 16
"""Reads of 64 KiB; a pipe holds one of them, unless its owner asked for more."""

_PASSED_ON = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "DISPLAY"}
)
_FAMILIES = ("LC_", "XDG_", "WAYLAND_", "DBUS_SESSION_", "PULSE_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Exit code, negative for a signal; None if it was killed at its time limit."""
    tail: bytes
    """End of its output, stdout and stderr together."""


def environment(also: Sequence[str] = ()) -> dict[str, str]:
    """Return the part of our environment that a child may see: paths, user, locale, ``also``, no secret."""
    names = _PASSED_ON.union(also)
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(_FAMILIES)}


def run_child(
    command: Sequence[str], text: str, *, environment: Mapping[str, str], give_up_at: Callable[[], float]
) -> Ended:
    """Run a command, without a shell, until it ends or its time is over.

    Background processes that it leaves behind are not waited for, but they end at the moment that
    ``give_up_at`` returned at the start.  The time that it returns is monotonic, and may come closer
    meanwhile.  ``text`` is the standard input.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    control, its_end = socket.socketpair()
    seconds = max(0.0, give_up_at() - time.monotonic())
    # -I and -S: nothing but Python itself is imported, which takes a few milliseconds.
    supervisor = [
        sys.executable,
        "-I",
        "-S",
        command_supervisor.__file__,
        str(its_end.fileno()),
        f"{seconds:.3f}",
    ]
    with its_end, os.fdopen(os.memfd_create("event"), "w+b") as stdin:  # a pipe without a reader fills up
        stdin.write(text.encode(errors="replace"))
        stdin.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is the configured one
                [*supervisor, *command],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
                pass_fds=[its_end.fileno()],
            )
        except OSError:
            control.close()
            raise
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as output:
        word, tail = _follow(control, output, give_up_at)
    match word.split():
        case [b"ended", code, b"1"]:
            _LEFTOVERS.add(process, control)
            return Ended(int(code), tail)
        case [b"ended", code, _]:
            ended = Ended(int(code), tail)
        case [b"error", number, _]:
            _reap(process, control)
            raise OSError(int(number), os.strerror(int(number)))
        case [b"lost"]:
            ended = Ended(process.wait(), tail)
        case _:
            ended = Ended(None, tail)
    _reap(process, control)
    return ended


def _follow(
    control: socket.socket, output: IO[bytes], give_up_at: Callable[[], float]
) -> tuple[bytes, bytes]:
    """Read the output of a command until it ends; return the supervisor's result, and the tail."""
    word, tail, over_at = b"", b"", math.inf
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        selector.register(control, selectors.EVENT_READ)
        while not word.endswith(b"\n") and time.monotonic() < over_at:
            left = give_up_at() - time.monotonic()
            if left <= 0 and math.isinf(over_at):
                over_at = time.monotonic() + command_supervisor.STUCK_SECONDS + _LOST_SECONDS
                with contextlib.suppress(OSError):
                    control.sendall(b"e")
            for key, _ in selector.select(min(left, _POLL_SECONDS) if left > 0 else _POLL_SECONDS):
                chunk = os.read(key.fd, 65_536)
                if key.fileobj is output:
                    tail = (tail + chunk)[-TAIL_BYTES:]
                else:
                    word += chunk or b"lost\n"  # the supervisor was killed
                if not chunk:
                    selector.unregister(key.fileobj)
    return word, _drained(output, tail)


def _drained(output: IO[bytes], tail: bytes) -> bytes:
    """Read output from before the end, at most what a pipe holds: descendants may still write into it."""
    os.set_blocking(output.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(_PIPE_READS):
            if not (chunk := os.read(output.fileno(), 65_536)):
                break
            tail = (tail + chunk)[-TAIL_BYTES:]
    return tail


def _reap(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    try:
        process.wait(_LOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Leftovers:
    """Supervisors of processes that commands left behind: a bounded number; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._supervisors: deque[tuple[subprocess.Popen[bytes], socket.socket]] = deque()

    def add(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        """Add one, forget those that have ended, and end the oldest if there are too many."""
        with self._lock:
            over = [each for each in self._supervisors if each[0].poll() is not None]
            for each in over:
                each[1].close()
                self._supervisors.remove(each)
            self._supervisors.append((process, control))
            for _, oldest in list(self._supervisors)[:-MOST_LEFT]:
                with contextlib.suppress(OSError):
                    oldest.send(b"e", socket.MSG_DONTWAIT)


_LEFTOVERS = _Leftovers()
