"""Supervisor of one command: starts it, reports how it ended, and ends all its descendants in time.

    python command_supervisor.py CONTROL SECONDS COMMAND [ARGUMENT ...]

This program imports nothing from the monitor, so it starts in a few milliseconds.  As a "child subreaper"
it becomes the parent of every process that the command leaves behind, even of a daemon with a session of its
own (``setsid``).  The command inherits standard input and both outputs.  CONTROL is the descriptor of a
socket.  The supervisor writes one line to it: ``ended CODE LEFT`` when the command has ended (LEFT: 1 if it
left processes behind), ``killed CODE 0`` if its time was over before, or ``error NUMBER 0`` if it could not
be started.  Any byte read from the socket means: end everything now.
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
"""From SIGTERM to giving up on processes that we may not kill, or that wait for a dead disk."""

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the command; return when none of its processes is left."""
    control, give_up_at, command = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), sys.argv[3:]
    os.set_inheritable(control, False)
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken = _woken_by_children()
    try:
        child = os.posix_spawnp(
            command[0], command, os.environ, setsid=True, setsigdef=[signal.SIGPIPE, signal.SIGCHLD]
        )
    except OSError as error:
        _report(control, f"error {error.errno} 0")
        return
    os.closerange(0, 3)  # now only the command holds its output, so it ends with the command
    if not _follow(child, control, woken, give_up_at):
        _report(control, f"killed {_end(child)} 0")


def _follow(child: int, control: int, woken: int, give_up_at: float) -> bool:
    """Wait until no process is left or the time is over; return whether the command ended in time."""
    waited, ended = [woken, control], False
    while True:
        for pid, code in _reaped():
            if pid == child:
                ended = True
                _report(control, f"ended {code} {int(bool(_left()))}")
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
                waited.remove(control)  # our parent has ended
    if ended:
        _end(child)
    return ended


def _woken_by_children() -> int:
    """Return a descriptor that becomes readable whenever a child ends."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    return woken


def _report(control: int, line: str) -> None:
    with contextlib.suppress(OSError):  # our parent has ended
        os.write(control, f"{line}\n".encode())


def _asked_to_end(control: int) -> bool:
    try:
        return os.read(control, 16) != b""
    except OSError:
        return False


def _reaped() -> list[tuple[int, int]]:
    """Return process ID and exit code of every child that has ended since the last call."""
    found = []
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            found.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
    return found


def _left() -> set[int]:
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
    """End all descendants, first with SIGTERM; return the command's exit code, 0 if that is not known."""
    begun_at, code = time.monotonic(), 0
    signalled: set[int] = set()
    while (left := _left()) and time.monotonic() < begun_at + STUCK_SECONDS:
        politely = time.monotonic() < begun_at + GRACE_SECONDS
        for pid in left - signalled if politely else left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM if politely else signal.SIGKILL)
        signalled |= left
        time.sleep(0.02)
        code = next((its for pid, its in _reaped() if pid == child), code)
    return code


if __name__ == "__main__":
    main()
