"""Files, sockets and pipes that this process has open."""

from contextlib import suppress
from pathlib import Path


def open_files():
    """Return the descriptors, each with what it stands for."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.add((entry.name, entry.readlink()))
    return found


def left_open(before):
    """Return what is open and was not before; what an earlier test held may be closed meanwhile."""
    return open_files() - before
