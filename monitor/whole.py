"""A file that is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write beside the file, then put that in its place: nobody ever reads half of it.

    Parameters
    ----------
    path : Path
    content : bytes
    durable : bool
        Wait until the disk has it, so that not even a power cut leaves an empty file of this name.

    Raises
    ------
    OSError
        It cannot be written; what was there before is untouched, and nothing is left beside it.
    """
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
