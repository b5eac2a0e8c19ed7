"""Recordings inside SoundFont files: samples of instruments, and effects as a synthesiser plays them.

The chunks ``smpl`` (16-bit samples) and ``shdr`` (46 bytes for each sample) are those of the SoundFont
technical specification, version 2.04, sections 6.1 and 7.10.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.sound import Samples

_HEADER = struct.Struct("<20s5IBbHH")
_TICKS = 480
"""Of a quarter note; at 120 beats a minute half a second."""

_KEY, _VELOCITY, _HELD_TICKS = 60, 110, 10 * _TICKS
"""An effect is held for five seconds."""

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


def render(soundfont: Path, bank: int, program: int, target: Path) -> None:
    """Write what a program plays as 16-bit samples at 44.1 kHz; needs the Debian package ``fluidsynth``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    score = target.with_suffix(".mid")
    score.write_bytes(_score(bank, program))
    play: list[str | Path] = [
        "fluidsynth",
        "-n",
        "-i",
        "-q",
        "-R",
        "0",
        "-C",
        "0",
        "-F",
        target,
        "-T",
        "wav",
        soundfont,
        score,
    ]
    subprocess.run(play, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    score.unlink()


def _score(bank: int, program: int) -> bytes:
    """A MIDI file of one note."""
    events = [
        (0, bytes([0xB0, 0, bank])),
        (0, bytes([0xC0, program])),
        (0, bytes([0x90, _KEY, _VELOCITY])),
        (_HELD_TICKS, bytes([0x80, _KEY, 0])),
        (2 * _TICKS, bytes([0xFF, 0x2F, 0])),
    ]
    track = b"".join(bytes([wait >> 7 | 0x80, wait & 0x7F]) + event for wait, event in events)
    header = struct.pack(">4sIHHH", b"MThd", 6, 0, 1, _TICKS)
    return header + struct.pack(">4sI", b"MTrk", len(track)) + track


def _chunk(content: bytes, name: bytes) -> bytes:
    at = content.find(name)
    if at < 0:
        raise ValueError(f"no SoundFont: it has no chunk {name!r}")
    size = struct.unpack_from("<I", content, at + 4)[0]
    return content[at + 8 : at + 8 + size]
