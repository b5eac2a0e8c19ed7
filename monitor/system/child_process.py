"""A process of somebody else's, with a limit to its time and to what it may say.

It is started by a supervisor, `command_supervisor`, so that whatever it started ends with it when its
time is over, wherever that has gone.
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
"""Of what a child says, the last is kept, and only for the log."""

MOST_LEFT = 16
"""Commands that have ended and left something running; of one more, the oldest is ended at once."""

_LOOK_SECONDS = 0.1
"""How often it is seen whether the time of a child has come closer."""

_LOST_SECONDS = 2.0
"""A supervisor that has said nothing for so long, when it should, says nothing any more."""

_PIPE_READS = 16
"""Of 64 KiB: a pipe holds one of them, or what its owner has asked for."""

_PASSED_ON = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "DISPLAY"}
)
_FAMILIES = ("LC_", "XDG_", "WAYLAND_", "DBUS_SESSION_", "PULSE_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended."""

    code: int | None
    """Exit code, negative for a signal; None if it was killed because its time was over."""
    tail: bytes
    """The end of what it said, on both outputs."""


def environment(also: Sequence[str] = ()) -> dict[str, str]:
    """Return what of our environment a child may see: where it lives and speaks, and no secret.

    Parameters
    ----------
    also : sequence of str
        More names to pass on.
    """
    names = _PASSED_ON.union(also)
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(_FAMILIES)}


def run_child(
    command: Sequence[str], text: str, *, environment: Mapping[str, str], give_up_at: Callable[[], float]
) -> Ended:
    """Run a command to its end, or until its time is over; without a shell.

    What it started in the background and left behind is not waited for, but its time is over as well at
    the moment that ``give_up_at`` returned at the start.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    text : str
        What it finds on its standard input.
    environment : mapping of str to str
    give_up_at : callable
        Returns the moment of the monotonic clock at which its time is over; may come closer meanwhile.

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
    with its_end, os.fdopen(os.memfd_create("event"), "w+b") as stdin:  # a pipe that nobody reads fills up
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
            _LEFT.add(process, control)
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
    """Read what a command says until it has ended; return what the supervisor says of that, and the tail."""
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
            for key, _ in selector.select(min(left, _LOOK_SECONDS) if left > 0 else _LOOK_SECONDS):
                said = os.read(key.fd, 65_536)
                if key.fileobj is output:
                    tail = (tail + said)[-TAIL_BYTES:]
                else:
                    word += said or b"lost\n"  # somebody has killed the supervisor
                if not said:
                    selector.unregister(key.fileobj)
    return word, _drained(output, tail)


def _drained(output: IO[bytes], tail: bytes) -> bytes:
    """Read what was said before the end: as much as a pipe holds, whoever may still write into it."""
    os.set_blocking(output.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        for _ in range(_PIPE_READS):
            if not (said := os.read(output.fileno(), 65_536)):
                break
            tail = (tail + said)[-TAIL_BYTES:]
    return tail


def _reap(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    """Wait for a supervisor that has nothing left to do; one that hangs is killed."""
    control.close()
    try:
        process.wait(_LOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Left:
    """Supervisors of what commands left behind, until its time is over: a bounded number; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._supervisors: deque[tuple[subprocess.Popen[bytes], socket.socket]] = deque()

    def add(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        """Keep one more, forget those that have ended, and end the oldest if there are too many."""
        with self._lock:
            over = [each for each in self._supervisors if each[0].poll() is not None]
            for each in over:
                each[1].close()
                self._supervisors.remove(each)
            self._supervisors.append((process, control))
            for _, oldest in list(self._supervisors)[:-MOST_LEFT]:
                with contextlib.suppress(OSError):
                    oldest.send(b"e", socket.MSG_DONTWAIT)


_LEFT = _Left()
