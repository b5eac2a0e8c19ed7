"""Ogg chains: sound files that consist of several, one behind the other, as recordings of radio stations do.

FFmpeg reads on from one chain to the next only if nothing but the tags changes, so each is opened on its own.
"""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = re.compile(rb"OggS\0([\0-\7])")
_HEADER = 6
"""Bytes of a page up to its flags."""

_BEGINS = 2
"""Flag of a page that begins a track; a chain begins with one for each of its tracks."""

_NEAR = 1024
"""Bytes from one of these pages to the next of the same chain, at most; they are short."""

_CHUNK = 1 << 20


def chains(path: Path) -> list[str]:
    """Return what FFmpeg is to open, one after the other, to read all of a file.

    Parameters
    ----------
    path : Path
        Any file; one that is no Ogg file, or is of one chain, is opened as a whole.

    Raises
    ------
    OSError
    """
    starts = _starts(path)
    if len(starts) < 2:  # noqa: PLR2004 - one chain
        return [f"file:{path}"]
    ends = [*starts[1:], path.stat().st_size]
    return [
        f"subfile,,start,{start},end,{end},,:file:{path}" for start, end in zip(starts, ends, strict=True)
    ]


def _starts(path: Path) -> list[int]:
    """Positions of the first page of each chain, in bytes."""
    starts: list[int] = []
    place, begun, rest = 0, -_NEAR, b""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return []
        file.seek(0)
        while chunk := file.read(_CHUNK):
            content = rest + chunk
            for page in _PAGE.finditer(content):
                if page[1][0] & _BEGINS:
                    if place + page.start() - begun >= _NEAR:
                        starts.append(place + page.start())
                    begun = place + page.start()
            rest = content[-(_HEADER - 1) :]
            place += len(content) - len(rest)
    return starts
