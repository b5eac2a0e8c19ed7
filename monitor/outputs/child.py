"""A process of somebody else's, with a limit to its time and to what it may say.

It runs in a process group of its own, so that whatever it started ends with it when its time is over.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

TAIL_BYTES = 2000
"""Of what a child says, the last is kept, and only for the log."""

GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL."""

_LOOK_SECONDS = 0.1
"""How often it is seen whether a child has ended whose output somebody else holds open."""

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

    What it started in the background and left behind is its own affair, unless its time was over.

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
    with os.fdopen(os.memfd_create("event"), "w+b") as stdin:  # a pipe that nobody reads would fill up
        stdin.write(text.encode())
        stdin.seek(0)
        process = subprocess.Popen(  # noqa: S603 - the command is the configured one
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as output:
        tail, in_time = _listen(process.pid, output, give_up_at)
    if in_time:
        return Ended(process.wait(), tail)
    _kill(process.pid)
    process.wait()
    return Ended(None, tail)


def _listen(pid: int, output: IO[bytes], give_up_at: Callable[[], float]) -> tuple[bytes, bool]:
    """Read what a child says until it has ended; False if its time is over before."""
    tail, ended = b"", False
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not ended:
            left = give_up_at() - time.monotonic()
            ended = _has_ended(pid)
            if left <= 0:
                return tail, ended
            while selector.select(0 if ended else min(left, _LOOK_SECONDS)):
                said = os.read(output.fileno(), 65_536)
                tail = (tail + said)[-TAIL_BYTES:]
                if not said:
                    return tail, _await_end(pid, give_up_at)
                if not ended or time.monotonic() >= give_up_at():
                    break
    return tail, True


def _await_end(pid: int, give_up_at: Callable[[], float]) -> bool:
    """Wait for a child that has nothing more to say; False if its time is over before."""
    pause = 0.001
    while not _has_ended(pid):
        if time.monotonic() >= give_up_at():
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LOOK_SECONDS)
    return True


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, and leave it a zombie: nobody else can get its number."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _kill(pid: int) -> None:
    """End a child and everything in its process group, first in good manners."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
        killed_at = time.monotonic()
        _await_end(pid, lambda: killed_at + GRACE_SECONDS)
        os.killpg(pid, signal.SIGKILL)
