"""Machine checks: permissions of sound cards, directories, databases, clock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from monitor.daemon.checks.finding import Finding, failure, good, warning
from monitor.system.clock_sync import is_synchronised
from monitor.system.directories import make_writable
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, try_database
from monitor.types import ExitCode, OutputError

STATE_MEGABYTES = 100
"""Free space that the state directory should have: text embeddings, baselines, queued events."""

_MEGABYTE = 1_000_000
_EARLIEST = 1_767_225_600.0
"""2026-01-01; an earlier time is older than this program."""

_LATEST = 4_102_444_800.0
"""2100-01-01."""


def _may_open(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def permissions(cards: Path = Path("/dev/snd"), may_open: Callable[[Path], bool] = _may_open) -> Finding:
    """Check that this user can open the sound cards, the ALSA devices in a directory."""
    nodes = sorted(cards.glob("pcmC*D*c"))
    closed = [node for node in nodes if not may_open(node)]
    if not nodes:
        return good("permissions", f"no sound card in {cards}; a sound server may provide one")
    if len(closed) < len(nodes):
        return good("permissions", f"{len(nodes) - len(closed)} of {len(nodes)} sound cards can be opened")
    return failure(
        "permissions",
        f"{closed[0]} permission denied for this user",
        ExitCode.PERMISSION,
        "sudo usermod --append --groups audio USER, then log in again",
    )


def directory(key: str, path: Path, *, megabytes: int) -> Finding:
    """Check that a directory is writable and has free space; a missing one is not created."""
    path = path.absolute()
    there = next(place for place in (path, *path.parents) if _exists(place))
    fix = f"give it to the user of clap-monitor, or set `{key}` to another directory"
    if there == path:
        try:
            make_writable(path, key)
        except OutputError as error:
            return failure(key, str(error), ExitCode.OUTPUT)
    elif not (there.is_dir() and os.access(there, os.W_OK | os.X_OK, effective_ids=True)):
        return failure(key, f"{path}: cannot be created in {there}", ExitCode.OUTPUT, fix)
    free = shutil.disk_usage(there).free // _MEGABYTE
    if not free:
        return failure(key, f"{path}: the disk is full", ExitCode.OUTPUT, "free some space")
    if free < megabytes:
        return warning(key, f"{path}: {free} MB free, up to {megabytes} MB may be needed", "free some space")
    state = "writable" if there == path else f"will be created in {there}"
    return good(key, f"{path}: {state}, {free} MB free")


def database(key: str, path: Path) -> Finding:
    """Check that a database file can be used now."""
    if not _exists(path):
        return good(key, f"{path}: will be created")
    if _is_in_use(path.parent):
        return good(key, f"{path}: in use by a running clap-monitor")
    try:
        try_database(path)
    except BrokenDatabaseError as error:
        return warning(key, f"{path}: {error}", "none needed: it will be renamed, and a new one created")
    except DatabaseError as error:
        fix = "stop the program that uses it, or set `state` to a directory on a local disk"
        return failure(key, f"{path}: {error}; data would be kept in memory only", ExitCode.OUTPUT, fix)
    return good(key, f"{path}: usable")


def _is_in_use(state: Path) -> bool:
    """Return whether a running monitor holds the lock on a state directory."""
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
    """Warn about a directory that other users of this machine can read; None if they cannot."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return None
    if not mode & 0o077:
        return None
    return warning(
        key, f"{path}: other users of this machine can read it (mode {mode:o})", f"chmod 700 {path}"
    )


def _exists(path: Path) -> bool:
    """Return whether this user can see a path; below an unreadable directory, nothing exists."""
    try:
        return path.exists()
    except OSError:
        return False


def clock(
    now: Callable[[], float] = time.time, is_set: Callable[[], bool | None] = is_synchronised
) -> Finding:
    """Check that the time is plausible and synchronized; ``is_set`` returns None if the latter is unknown."""
    seconds = now()
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
    fix = "turn on time synchronization: timedatectl set-ntp true"
    if not _EARLIEST <= seconds < _LATEST:
        return failure("clock", f"{text}: cannot be right", ExitCode.CLOCK, fix)
    if is_set() is False:
        return warning("clock", f"{text}: not synchronized", fix)
    return good("clock", text)
