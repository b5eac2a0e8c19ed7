"""Supervisor of one command: starts it, says how it ended, and ends whatever it left when its time is over.

    python leash.py CONTROL SECONDS COMMAND [ARGUMENT ...]

A program of its own that imports nothing of the monitor, so that it starts in a few milliseconds.  As the
"child subreaper" it becomes the parent of every process that the command started and left behind, also of
one with a session of its own (``setsid``, a daemon): none gets away.  Standard input and both outputs are
the command's.  CONTROL is the descriptor of a socket, which says one line: ``ended CODE LEFT`` once the
command has ended (LEFT: 1 if it left anything behind), ``killed CODE 0`` if its time was over before, or
``error NUMBER 0`` if it could not be started.  Any byte that comes from there means: end everything now.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL."""

STUCK_SECONDS = 3.0
"""From SIGTERM on; what is not ours to kill, or waits for a dead disk, is left then."""

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command; return when nothing of it is left."""
    control, give_up_at, command = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(control, False)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken = _woken_by_children()
    try:
        child = os.posix_spawnp(
            command[0], command, os.environ, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGCHLD]
        )
    except OSError as error:
        _say(control, f"error {error.errno} 0")
        return
    os.closerange(0, 3)  # the command's alone: its output ends when nobody of it holds it any more
    if not _follow(child, control, woken, give_up_at):
        _say(control, f"killed {_end(child)} 0")


def _follow(child: int, control: int, woken: int, give_up_at: float) -> bool:
    """Wait until nothing is left or the time is over; tell whether the command ended in time."""
    waited, ended = [woken, control], False
    while True:
        for pid, code in _reaped():
            if pid == child:
                ended = True
                _say(control, f"ended {code} {int(bool(_left()))}")
        if ended and not _left():
            return True
        seconds = give_up_at - time.monotonic()
        if seconds <= 0:
            break
        for ready in select.select(waited, [], [], min(seconds, 3600.0))[0]:
            if ready == woken:
                os.read(woken, 4096)
            elif _asked_to_end(control):
                give_up_at = 0.0
            else:
                waited.remove(control)  # whoever started this has gone
    if ended:
        _end(child)
    return ended


def _woken_by_children() -> int:
    """Return a descriptor that can be read whenever a child has ended."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


def _say(control: int, word: str) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        os.write(control, f"{word}\n".encode())


def _asked_to_end(control: int) -> bool:
    try:
        return os.read(control, 16) != b""
    except OSError:
        return False


def _reaped() -> list[tuple[int, int]]:
    """Return number and exit code of every child that has ended since the last call."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
    return found


def _left() -> set[int]:
    """Return the numbers of all processes that descend from this one and run."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib alone takes longer to import than all of this
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    parents[int(name)] = int(parent)
    left = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in left} - left:
        left |= more
    return left - {os.getpid()}


def _end(child: int) -> int:
    """End everything, first in good manners; return the exit code of the command, 0 if that is not known."""
    begun_at, code = time.monotonic(), 0
    told: set[int] = set()
    while (left := _left()) and time.monotonic() < begun_at + STUCK_SECONDS:
        politely = time.monotonic() < begun_at + GRACE_SECONDS
        for pid in left - told if politely else left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM if politely else signal.SIGKILL)
        told |= left
        time.sleep(0.02)
        code = next((its for pid, its in _reaped() if pid == child), code)
    return code


if __name__ == "__main__":
    main()
