"""Samples inside a SoundFont 2 file: recordings of instruments and a few effects.

The chunks ``smpl`` (16-bit samples) and ``shdr`` (46 bytes for each sample) are those of the SoundFont
technical specification, version 2.04, sections 6.1 and 7.10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from training.sound import Samples

_HEADER = struct.Struct("<20s5IBbHH")
_ROM = 0x8000
"""Bit of the type of a sample that is in a sound card, not in the file."""


def read_soundfont(content: bytes) -> Iterator[tuple[str, Samples, int]]:
    """Yield name, samples in [-1, 1] and rate of each sample, in the order of the file; no right channels."""
    samples = np.frombuffer(_chunk(content, b"smpl"), "<i2")
    headers = _chunk(content, b"shdr")
    for header in _HEADER.iter_unpack(headers[: len(headers) // _HEADER.size * _HEADER.size]):
        name, start, stop, rate, kind = *header[:3], header[5], header[9]
        text = name.split(b"\0")[0].decode("latin-1").strip()
        if stop > start and not kind & _ROM and not text.endswith(("(R)", "R")):
            yield text, (samples[start:stop] / 32768).astype(np.float32), rate


def _chunk(content: bytes, name: bytes) -> bytes:
    at = content.find(name)
    if at < 0:
        raise ValueError(f"no SoundFont: it has no chunk {name!r}")
    size = struct.unpack_from("<I", content, at + 4)[0]
    return content[at + 8 : at + 8 + size]
