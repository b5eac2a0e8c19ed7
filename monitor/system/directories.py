"""Directories in which something is kept, looked at while the monitor runs.

One may be removed, replaced or unmounted under a process that has files open in it: what is written then goes
where nobody will find it, without an error.  So each is looked at once a minute, and what is wrong is told.
"""

from __future__ import annotations

import logging
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from monitor.system.atomic_file import make_directory, try_directory

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0


class Directories:
    """Look after directories; `run` is the body of its thread: a dead network file system may hold it up.

    Parameters
    ----------
    directories : mapping of str to (Path, int)
        Each with its mode, by the key of the configuration that names it.
    on_changed : callable
        Takes the key of one that is another than before: what is open in it must be opened again.
    on_look : callable
        Called after every look.
    every_seconds : float
    """

    def __init__(
        self,
        directories: Mapping[str, tuple[Path, int]],
        *,
        on_changed: Callable[[str], object] = lambda _: None,
        on_look: Callable[[], object] = lambda: None,
        every_seconds: float = LOOK_SECONDS,
    ) -> None:
        self.trouble: dict[str, str | None] = dict.fromkeys(directories)
        """What is wrong with each, None if nothing is; what was mended stands there until the next look."""
        self._directories = directories
        self._on_changed, self._on_look = on_changed, on_look
        self._every_seconds = every_seconds
        self._first = {key: _identity(path) for key, (path, _) in directories.items()}
        """Device and inode as they were at the start, or as they were taken for good since."""
        self._last = dict(self._first)

    @property
    def paths(self) -> dict[str, Path]:
        """Where each is, by its key."""
        return {key: path for key, (path, _) in self._directories.items()}

    def run(self, stop: threading.Event) -> None:
        """Look once in a while until it is time to stop."""
        while not stop.wait(self._every_seconds):
            self.look()

    def look(self) -> None:
        """Look at all of them now, and make again what is missing."""
        for key, (path, mode) in self._directories.items():
            self._say(key, path, self._wrong(key, path, mode))
        self._on_look()

    def _wrong(self, key: str, path: Path, mode: int) -> str | None:
        found, news = _identity(path), None
        made = found is None
        if made:
            try:
                make_directory(path, mode)
            except OSError as error:
                return f"is missing, and cannot be made again: {error.strerror or error}"
            found, news = _identity(path), "was removed while the monitor ran, and is made again"
        first, last, self._last[key] = self._first[key], self._last[key], found
        if first is None or found is None:
            self._first[key] = found
        elif found != first and (found[0] == first[0] or news):
            news = news or "was replaced while the monitor ran"
            self._first[key] = found
        elif found != first:
            news = "is on another file system than at the start: has a mount gone?"
        if found != last or made:  # the inode of one that was removed is given out again
            self._on_changed(key)
        return _unwritable(path) or news

    def _say(self, key: str, path: Path, wrong: str | None) -> None:
        """Log what is wrong, once for each change."""
        if wrong is not None and wrong != self.trouble[key]:
            log.error("%s: %s: %s", key, path, wrong)
        elif wrong is None and self.trouble[key] is not None:
            log.info("%s: %s: can be used", key, path)
        self.trouble[key] = wrong


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a directory, None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _unwritable(path: Path) -> str | None:
    """Say why no file can be made in a directory, None if one can."""
    try:
        try_directory(path)
    except OSError as error:
        return f"cannot be written: {error.strerror or error}"
    return None
