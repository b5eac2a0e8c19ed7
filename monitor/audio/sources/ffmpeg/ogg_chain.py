"""Ogg chains: files that consist of several Ogg files in sequence, such as recordings of radio stations.

FFmpeg only continues with the next chain if nothing but the tags changes, so each chain is opened separately.
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
"""Largest distance, in bytes, between two such pages of one chain; they are short."""

_CHUNK = 1 << 20


def chains(path: Path) -> list[str]:
    """Return the URLs that FFmpeg opens in sequence to read a whole file; one URL if it is no chain.

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
