"""Header of a WAVE file: the length that it claims; FFmpeg reads to the end of the file and says nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_HEAD_BYTES = 65_536
"""The audio begins before."""

_UNKNOWN = 0xFFFFFFFF
"""What a program writes that cannot go back to the header at the end; another one writes 0."""


def claimed_seconds(sound: Path | BinaryIO) -> float | None:
    """Return the seconds that a WAVE file claims to hold; None for any other file, or if it claims none.

    Raises
    ------
    OSError
    """
    if isinstance(sound, Path):
        with sound.open("rb") as file:
            return _claimed(file.read(_HEAD_BYTES))
    sound.seek(0)
    return _claimed(sound.read(_HEAD_BYTES))


def _claimed(head: bytes) -> float | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    place, bytes_a_second = 12, 0
    while place + 20 <= len(head):
        name, size = struct.unpack_from("<4sI", head, place)
        if name == b"fmt ":
            bytes_a_second = struct.unpack_from("<I", head, place + 16)[0]
        if name == b"data":
            known = bytes_a_second > 0 and 0 < size < _UNKNOWN
            return size / bytes_a_second if known else None
        place += 8 + size + size % 2
    return None
