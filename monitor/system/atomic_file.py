"""A file that is written whole or not at all, and who may read it.

What is heard in a home is nobody else's business: files are made for their owner alone, whatever the umask.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make a directory, and those above it that are missing; one that is there keeps its mode.

    Parameters
    ----------
    path : Path
    mode : int
        Of the directory itself, whatever the umask.

    Raises
    ------
    OSError
        It cannot be made, or something else has its name.
    """
    try:
        path.mkdir(mode=mode, parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    with contextlib.suppress(OSError):  # a file system that knows no modes
        path.chmod(mode)


def write_atomic(path: Path, content: bytes, *, durable: bool = False, mode: int = PRIVATE) -> None:
    """Write beside the file, then put that in its place: nobody ever reads half of it.

    Parameters
    ----------
    path : Path
    content : bytes
    durable : bool
        Wait until the disk has it, so that not even a power cut leaves an empty file of this name.
    mode : int
        Of the file, whatever the umask.

    Raises
    ------
    OSError
        It cannot be written; what was there before is untouched, and nothing is left beside it.
    """
    unfinished = path.with_suffix(".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(unfinished, flags, mode), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            with contextlib.suppress(OSError):  # a file system that knows no modes
                os.fchmod(file.fileno(), mode)
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def try_directory(path: Path) -> None:
    """See that a file can be made in a directory, and leave nothing there.

    Raises
    ------
    OSError
        It cannot.
    """
    probe = path / ".writable"
    with contextlib.suppress(FileNotFoundError):  # of a process that was killed, whatever it is
        probe.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(probe, flags, PRIVATE), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(b"clap-monitor")
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
