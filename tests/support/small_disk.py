"""File systems of a few kilobytes, mounted for a test; that needs root."""

import subprocess
from contextlib import contextmanager, suppress


@contextmanager
def small_disk(place, size="2m"):
    """Mount a file system of a size at a directory."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def remount(place, option):
    """Change a mounted file system: `ro`, `rw` or another `size=`."""
    subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)


def fill(place):
    """Take all room there is; return the file that does."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))
    return filler
