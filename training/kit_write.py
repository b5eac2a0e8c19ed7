"""Files of the calibration kit: clips one after the other in Ogg Opus, and the manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training import geometry as g
from training.kit_licences import Terms
from training.sound import Samples

BIT_RATE = 36_000
"""Bit/s aimed at; see the README of the kit for what it costs."""

FILE_S = 45.0
"""Most seconds of one file, which a reader decodes as a whole."""

PAUSE = g.RATE // 20
"""Samples of silence between clips, so that the codec does not smear one into the next."""

GRID = g.RATE // 100
"""A clip begins at a multiple of a hundredth of a second."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A sound that goes into the kit."""

    name: str
    wave: Samples
    """At 48 kHz."""
    package: str
    version: str
    path: str
    terms: Terms
    onset: float = 0.0
    """Seconds, of an event."""
    offset: float = 0.0


@dataclass
class Manifest:
    """The manifest in the making; `monitor.evaluation.calibration_kit` reads it."""

    version: int
    labels: list[dict[str, Any]]
    origins: list[dict[str, str]] = field(default_factory=list)

    def entry(self, clip: Clip, file: str, start: int) -> dict[str, Any]:
        """What the manifest says of a clip that begins at a sample of a file."""
        origin = {
            "package": clip.package,
            "version": clip.version,
            "licence": clip.terms.licence,
            "attribution": clip.terms.attribution,
        }
        if origin not in self.origins:
            self.origins.append(origin)
        entry = {
            "file": file,
            "start": round(start / g.RATE, 2),
            "seconds": round(len(clip.wave) / g.RATE, 4),
            "name": clip.name,
            "origin": self.origins.index(origin),
            "path": clip.path,
        }
        times = {"onset": round(clip.onset, 3), "offset": round(clip.offset, 3)}
        return entry | (times if clip.offset else {})


def write_clips(folder: Path, prefix: str, clips: Sequence[Clip], manifest: Manifest) -> list[dict[str, Any]]:
    """Write clips into as many files as they need; return their entries."""
    entries: list[dict[str, Any]] = []
    parts: list[Samples] = []
    at = number = 0
    for clip in clips:
        if at and at + len(clip.wave) > FILE_S * g.RATE:
            _encode(folder / f"{prefix}-{number:02d}.opus", parts)
            parts, at, number = [], 0, number + 1
        entries.append(manifest.entry(clip, f"{prefix}-{number:02d}.opus", at))
        pause = PAUSE + -(len(clip.wave) + PAUSE) % GRID
        parts += [clip.wave, np.zeros(pause, dtype=np.float32)]
        at += len(clip.wave) + pause
    if parts:
        _encode(folder / f"{prefix}-{number:02d}.opus", parts)
    return entries


def write_bed(folder: Path, clip: Clip, manifest: Manifest) -> dict[str, Any]:
    """Write a bed that can be repeated: its end stands before its beginning, its beginning after its end."""
    file = f"bed-{clip.name.replace(' ', '-')}.opus"
    _encode(folder / file, [clip.wave[-PAUSE:], clip.wave, clip.wave[:PAUSE]])
    return manifest.entry(clip, file, PAUSE)


def write_manifest(folder: Path, manifest: Manifest, sections: dict[str, list[dict[str, Any]]]) -> None:
    """Write the manifest, an entry on each line."""
    lines = [f'{{\n"version": {manifest.version}']
    for name, entries in {"labels": manifest.labels, "origins": manifest.origins, **sections}.items():
        rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
        lines.append(f'"{name}": [\n{rows}\n]')
    (folder / "manifest.json").write_text(",\n".join(lines) + "\n}\n", encoding="utf-8")


def _encode(path: Path, parts: Sequence[Samples]) -> None:
    import av

    samples = np.clip(np.concatenate(parts), -1, 1)
    with av.open(str(path), "w", format="ogg", options={"fflags": "bitexact"}) as file:
        # Long packets: a reader decodes a third as many.
        options = {"vbr": "on", "application": "audio", "compression_level": "10", "frame_duration": "60"}
        stream = file.add_stream("libopus", rate=g.RATE, options=options)
        stream.bit_rate = BIT_RATE
        stream.layout = "mono"
        stream.format = "flt"
        frame = av.AudioFrame.from_ndarray(samples[None, :].astype(np.float32), format="flt", layout="mono")
        frame.rate = g.RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            file.mux(packet)
