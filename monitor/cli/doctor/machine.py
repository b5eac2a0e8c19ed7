"""What the machine must offer: sound cards that may be opened, room to write, a clock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from monitor.cli.doctor.finding import Code, Finding, failure, good, warning
from monitor.outputs.clips import make_writable
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, try_database
from monitor.system.wall_clock import is_synchronised
from monitor.types import OutputError

STATE_MEGABYTES = 100
"""Room that the state directory should have: sentences, rooms, events that wait for the broker."""

_MEGABYTE = 1_000_000
_EARLIEST = 1_767_225_600.0
"""2026-01-01: a clock that says less is older than this program."""

_LATEST = 4_102_444_800.0
"""2100-01-01."""


def _may_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def permissions(cards: Path = Path("/dev/snd"), may_open: Callable[[Path], bool] = _may_open) -> Finding:
    """Whether this user may open the sound cards there are.

    Parameters
    ----------
    cards : Path
        Directory of ALSA's devices.
    may_open : callable
        Judges one of them.
    """
    nodes = sorted(cards.glob("pcmC*D*c"))
    closed = [node for node in nodes if not may_open(node)]
    if not nodes:
        return good("permissions", f"no sound card of its own in {cards}: a sound server may have one")
    if len(closed) < len(nodes):
        return good("permissions", f"{len(nodes) - len(closed)} of {len(nodes)} sound cards may be opened")
    return failure(
        "permissions",
        f"{closed[0]} may not be opened by this user",
        Code.PERMISSION,
        "sudo usermod --append --groups audio USER, then log in again",
    )


def directory(key: str, path: Path, *, megabytes: int) -> Finding:
    """Whether a directory can be written and has room; one that is not there is not made.

    Parameters
    ----------
    key : str
        Of the configuration.
    path : Path
    megabytes : int
        Room that it should have.
    """
    path = path.absolute()
    there = next(place for place in (path, *path.parents) if _is_there(place))
    fix = f"give it to the user who runs clap-monitor, or set `{key}` to another directory"
    if there == path:
        try:
            make_writable(path, key)
        except OutputError as error:
            return failure(key, str(error), Code.DISK)
    elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True)):
        return failure(key, f"{path}: cannot be made in {there}", Code.DISK, fix)
    free = shutil.disk_usage(there).free // _MEGABYTE
    if not free:
        return failure(key, f"{path}: the disk is full", Code.DISK, "make room")
    if free < megabytes:
        return warning(key, f"{path}: {free} MB are free, up to {megabytes} may be needed", "make room")
    made = "can be written" if there == path else f"will be made in {there}"
    return good(key, f"{path}: {made}, {free} MB are free")


def database(key: str, path: Path) -> Finding:
    """Whether a file in which something is kept can be used now; one that is not there will be made.

    Parameters
    ----------
    key : str
        Of the configuration.
    path : Path
    """
    if not _is_there(path):
        return good(key, f"{path}: will be made")
    if _is_in_use(path.parent):
        return good(key, f"{path}: a clap-monitor that runs has it")
    try:
        try_database(path)
    except BrokenDatabaseError as error:
        return warning(key, f"{path}: {error}", "none is needed: it will be set aside, and a new one begun")
    except DatabaseError as error:
        fix = "end the program that has it, or set `state` to a directory on a disk of this machine"
        return failure(key, f"{path}: {error}: what happens would be kept in memory only", Code.DISK, fix)
    return good(key, f"{path}: can be used")


def _is_in_use(state: Path) -> bool:
    """Tell whether a monitor that runs has a state directory: it holds a lock on it."""
    with contextlib.suppress(OSError):
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(directory)
    return False


def others_may_read(key: str, path: Path) -> Finding | None:
    """Warn of a directory that other users of this machine may look into; None if they may not.

    Parameters
    ----------
    key : str
        Of the configuration.
    path : Path
    """
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return None
    if not mode & 0o077:
        return None
    return warning(
        key, f"{path}: other users of this machine may look into it (mode {mode:o})", f"chmod 700 {path}"
    )


def _is_there(path: Path) -> bool:
    """Tell whether this user can see it; below a directory that is closed to him, nothing is."""
    try:
        return path.exists()
    except OSError:
        return False


def clock(
    now: Callable[[], float] = time.time, is_set: Callable[[], bool | None] = is_synchronised
) -> Finding:
    """Whether the time that events are stamped with can be right.

    Parameters
    ----------
    now : callable
        Unix seconds.
    is_set : callable
        Whether something keeps the clock right; None if that is not known.
    """
    seconds = now()
    says = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    fix = "turn on time synchronisation: timedatectl set-ntp true"
    if not _EARLIEST <= seconds < _LATEST:
        return failure("clock", f"says {says}, which cannot be", Code.CLOCK, fix)
    if is_set() is False:
        return warning("clock", f"says {says}, and nothing keeps it right", fix)
    return good("clock", f"says {says}")
