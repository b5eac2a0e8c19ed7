"""Read files out of a Qt resource file (`.rcc`), as GCompris ships its sounds.

Format: Qt's ``qresource.cpp``.  A header (magic ``qres``, version, offsets of the tree,
the data and the names), then three blocks, all big-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

COMPRESSED, DIRECTORY, ZSTANDARD = 1, 2, 4


def read_resources(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name (without leading slash) and the content of every file inside."""
    blob = path.read_bytes()
    magic, version, tree, data, names = struct.unpack_from(">4s4I", blob)
    if magic != b"qres":
        raise ValueError(f"{path} is not a Qt resource file")
    entry_size = 14 if version == 1 else 22  # version 2 added the time of change
    waiting = [(0, "")]
    while waiting:
        index, name = waiting.pop()
        at = tree + index * entry_size
        flags, first, second = struct.unpack_from(">HII", blob, at + 4)
        if flags & DIRECTORY:
            for child in range(second, second + first):
                (name_at,) = struct.unpack_from(">I", blob, tree + child * entry_size)
                waiting.append((child, f"{name}/{_name(blob, names + name_at)}"))
        elif not flags & ZSTANDARD:
            yield name.lstrip("/"), _content(blob, data + second, compressed=bool(flags & COMPRESSED))


def _name(blob: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", blob, at)
    return blob[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _content(blob: bytes, at: int, *, compressed: bool) -> bytes:
    (length,) = struct.unpack_from(">I", blob, at)
    content = blob[at + 4 : at + 4 + length]
    return zlib.decompress(content[4:]) if compressed else content
