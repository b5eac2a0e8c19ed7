"""A file that is written whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the file, then put that in its place: nobody ever reads half of it.

    Raises
    ------
    OSError
        It cannot be written; what was there before is untouched, and nothing is left beside it.
    """
    unfinished = path.with_suffix(".part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
