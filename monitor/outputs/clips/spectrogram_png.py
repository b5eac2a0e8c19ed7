"""Spectrogram of a clip: the log-mel that the model gets, as a PNG."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.model.log_mel import log_mel
from monitor.model.mel_config import MelConfig
from monitor.types import Samples

RANGE_DB = 70.0
"""From the darkest to the brightest color."""

MAX_COLUMNS = 1200
"""In a longer clip each column shows the loudest of several frames."""

ROW_PIXELS = 3
"""Height of a mel bin."""

_ANCHORS = (
    (6, 8, 26),
    (43, 22, 92),
    (122, 32, 112),
    (198, 62, 84),
    (243, 129, 60),
    (252, 203, 92),
    (255, 252, 214),
)
"""Dark blue, violet, red, orange, light yellow: brightness rises evenly, so that it also reads in gray."""


def spectrogram(samples: Samples, mel_config: MelConfig) -> bytes:
    """Return a PNG: time from left to right, low frequencies at the bottom, the loudest the brightest.

    The samples, shape (n,), have the rate of the model and are all finite.
    """
    decibels = _frames(samples, mel_config)  # (frames, mel_bins)
    step = -(-len(decibels) // MAX_COLUMNS)
    padded = np.pad(decibels, ((0, -len(decibels) % step), (0, 0)), mode="edge")
    columns = padded.reshape(-1, step, decibels.shape[1]).max(axis=1)
    shades = np.clip((columns - columns.max() + RANGE_DB) / RANGE_DB, 0.0, 1.0)
    pixels = np.round(shades.T[::-1] * 255).astype(np.uint8)  # (mel_bins, columns), highest first
    return png(np.repeat(pixels, ROW_PIXELS, axis=0), palette())


def png(pixels: NDArray[np.uint8], colors: NDArray[np.uint8]) -> bytes:
    """Encode pixels, shape (rows, columns), that are indices of colors, shape (256, 3), as a PNG.

    Signature, header, palette, rows each behind a filter byte of 0, end.
    """
    rows, columns = pixels.shape
    lines = np.zeros((rows, columns + 1), np.uint8)
    lines[:, 1:] = pixels
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", colors.astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@lru_cache(maxsize=1)
def palette() -> NDArray[np.uint8]:
    """Return the colors from quiet to loud, shape (256, 3)."""
    anchors = np.array(_ANCHORS, dtype=np.float64)
    places = np.linspace(0, len(anchors) - 1, 256)
    mixed = [np.interp(places, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(mixed, axis=1)).astype(np.uint8)


def _frames(samples: Samples, mel_config: MelConfig) -> NDArray[np.float32]:
    """Return the log-mel of a clip, computed in pieces, shape (frames, mel_bins)."""
    length = mel_config.length - mel_config.length % mel_config.hop or mel_config.length
    pieces = []
    for start in range(0, max(len(samples), 1), length):
        piece = samples[start : start + length]
        frames = -(-len(piece) // mel_config.hop) or 1
        whole = np.pad(piece, (0, mel_config.length - len(piece))).astype(np.float32)
        pieces.append(log_mel(whole, mel_config)[:frames])
    return np.concatenate(pieces)
