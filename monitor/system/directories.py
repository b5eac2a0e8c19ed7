"""Directories of the monitor: created, probed, and checked once a minute while the monitor runs.

A directory may be removed, replaced or unmounted while files in it are open.  Writing to such a file raises
no error, but nobody will find what was written.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from monitor.system.atomic_file import PRIVATE, identity
from monitor.system.trouble_log import TroubleLog
from monitor.types import OutputError

log = logging.getLogger(__name__)

CHECK_SECONDS = 60.0


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make a directory and its parents, with a mode independent of the umask; an existing one keeps its mode.

    Raises
    ------
    OSError
        It cannot be made, or its name is taken by something else.
    """
    try:
        path.mkdir(mode=mode, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    with contextlib.suppress(OSError):  # a file system without modes
        path.chmod(mode)


def probe_directory(path: Path) -> None:
    """Make a file in a directory and remove it again.

    Raises
    ------
    OSError
        The directory cannot be written.
    """
    probe = path / ".writable"
    with contextlib.suppress(FileNotFoundError):  # left by a process that was killed
        probe.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(probe, flags, PRIVATE), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(b"clap-monitor")
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def make_writable(directory: Path, key: str, *, mode: int = 0o700) -> None:
    """Make a directory and check that it can be written.

    A full disk is only logged: space may become free, and the monitor must run in any case.

    Raises
    ------
    OutputError
        Names the directory, the configuration key and the reason.
    """
    try:
        make_directory(directory, mode)
        probe_directory(directory)
    except OSError as error:
        why = error.strerror or error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            log.error("%s: cannot be written: %s", directory, why)  # noqa: TRY400
            return
        raise OutputError(
            f"{directory}: cannot be written: {why}; set `{key}` to a directory that is writable"
        ) from error
    found = directory.stat().st_mode & 0o777
    if found & 0o077 & ~mode:
        log.warning(
            "%s: other users of this machine can read it (mode %o); to prevent that: chmod %o %s",
            directory,
            found,
            mode,
            directory,
        )


class Directories:
    """Check directories; `run` is the body of its own thread, which a dead network file system may block.

    Parameters
    ----------
    directories : mapping of str to (Path, int)
        Path and mode, by the configuration key of the directory.
    on_changed : callable
        Takes the key of a directory that was replaced: files in it must be opened again.
    on_checked : callable
        Called after every check.
    """

    def __init__(
        self,
        directories: Mapping[str, tuple[Path, int]],
        *,
        on_changed: Callable[[str], object] = lambda _: None,
        on_checked: Callable[[], object] = lambda: None,
    ) -> None:
        self.trouble: dict[str, str | None] = dict.fromkeys(directories)
        """What is wrong with each directory, None if nothing; a repair stands here until the next check."""
        self._directories = directories
        self._on_changed, self._on_checked = on_changed, on_checked
        self._accepted = {key: _identity(path) for key, (path, _) in directories.items()}
        """Device and inode at the start, or of a replacement accepted since."""
        self._last = dict(self._accepted)
        self._log = TroubleLog(log)

    @property
    def paths(self) -> dict[str, Path]:
        """Path of each directory, by its key."""
        return {key: path for key, (path, _) in self._directories.items()}

    def run(self, stop: threading.Event) -> None:
        """Check periodically until ``stop``."""
        while not stop.wait(CHECK_SECONDS):
            self.check()

    def check(self) -> None:
        """Check all directories now, and make missing ones again."""
        for key, (path, mode) in self._directories.items():
            trouble = self._check(key, path, mode)
            where = f"{key}: {path}"
            self.trouble[key] = self._log.change(self.trouble[key], trouble, where, level=logging.ERROR)
        self._on_checked()

    def _check(self, key: str, path: Path, mode: int) -> str | None:
        found, news = _identity(path), None
        made = found is None
        if made:
            try:
                make_directory(path, mode)
            except OSError as error:
                return f"is missing, and cannot be made again: {error.strerror or error}"
            found, news = _identity(path), "was removed while the monitor ran, and is made again"
        accepted, last, self._last[key] = self._accepted[key], self._last[key], found
        if accepted is None or found is None:
            self._accepted[key] = found
        elif found != accepted and (found[0] == accepted[0] or news):
            news = news or "was replaced while the monitor ran"
            self._accepted[key] = found
        elif found != accepted:
            news = "is on another file system than at the start: has a mount gone?"
        if found != last or made:  # a new directory may get the inode of the removed one
            self._on_changed(key)
        try:
            probe_directory(path)
        except OSError as error:
            return f"cannot be written: {error.strerror or error}"
        return news


def _identity(path: Path) -> tuple[int, int] | None:
    return identity(path) if path.is_dir() else None
