"""Atomic files: written completely or not at all, and readable by their owner alone.

What happens in a home is private, so files get their mode independent of the umask.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import IO, Any

PRIVATE = 0o600
"""Mode of a file that only its owner can read."""


def write_atomic(path: Path, content: bytes, *, durable: bool = False, mode: int = PRIVATE) -> None:
    """Write a temporary file and rename it, so that nobody ever reads half of a file.

    ``durable`` waits for the disk, so that not even a power cut leaves an empty file; ``mode`` is independent
    of the umask.

    Raises
    ------
    OSError
        It cannot be written; the old file is unchanged, and no temporary file is left.
    """
    draft = path.with_suffix(".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(draft, flags, mode), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            with contextlib.suppress(OSError):  # a file system without modes
                os.fchmod(file.fileno(), mode)
            file.write(content)
            if durable:
                flush_to_disk(file)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def open_no_link(path: Path, *, append: bool = False) -> IO[bytes]:
    """Open a file to write it; a symbolic link is refused, so that no file elsewhere is changed.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "is a symbolic link", str(path)) from error
        raise
    return open(descriptor, "ab" if append else "wb")  # noqa: PTH123 - a descriptor; the caller closes it


def flush_to_disk(file: IO[Any]) -> None:
    """Wait until the disk has all that was written to an open file."""
    file.flush()
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file or directory, None if there is none; a replacement has others."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
