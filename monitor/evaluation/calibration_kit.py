"""Calibration kit: free recordings inside the package, with a label, a licence and a place for each.

``monitor/kit`` holds Ogg Opus files and ``manifest.json``.  The cohort is many different sounds, against
which scores are calibrated; beds and events are what calibration scenes are mixed from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from monitor.system.bounded_read import read_json
from monitor.types import Samples, SourceError

KIT = Path(__file__).parents[1] / "kit"
"""Folder of the kit inside the package."""

SYNTHESISED = "synthesised"
"""Package of a clip that no recording is behind."""

_MANIFEST = "manifest.json"
_LARGEST = 4_000_000
"""Bytes of a manifest."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where clips are from, and under which terms."""

    package: str
    """Debian package, or `SYNTHESISED`."""
    version: str
    licence: str
    attribution: str


@dataclass(frozen=True, slots=True)
class KitClip:
    """One sound of the kit: a part of a file."""

    file: Path
    start: float
    """Seconds from the beginning of the file."""
    seconds: float
    name: str
    """Kind of sound in one or two words, the id of an event's label; empty if unknown."""
    origin: Origin
    path: str
    """Of the original in its package."""


@dataclass(frozen=True, slots=True)
class KitEvent:
    """One occurrence of a label: the sound lasts from onset to offset of its clip."""

    label: str
    clip: KitClip
    onset: float
    """Seconds from the beginning of the clip."""
    offset: float


@dataclass(frozen=True, slots=True)
class KitLabel:
    """A sound that people monitor at home."""

    name: str
    sentence: str
    """A prompt for it, such as "a dog barking"."""
    series: bool
    """It seldom comes alone, so a short clip of it may be repeated."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The whole kit; audio is decoded when it is needed."""

    version: int
    """Increases with every change of the content."""
    labels: tuple[KitLabel, ...]
    """Those of the events."""
    cohort: tuple[KitClip, ...]
    """No two of one original."""
    beds: tuple[KitClip, ...]
    """Backgrounds without an event, which can be repeated without a click."""
    events: tuple[KitEvent, ...]


def read_kit(folder: Path = KIT) -> Kit:
    """Read the manifest of a kit; no audio is decoded.

    Parameters
    ----------
    folder : Path
        Holds ``manifest.json`` and the files that it names.

    Raises
    ------
    SourceError
        The manifest cannot be read, or is damaged.
    """
    manifest = folder / _MANIFEST
    try:
        return _kit(folder, read_json(manifest, _LARGEST))
    except OSError as error:
        raise SourceError(f"{manifest}: {error.strerror}; install clap-monitor again") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise SourceError(f"{manifest}: is damaged ({error}); install clap-monitor again") from error


def decode_clips(clips: Iterable[KitClip], rate: int) -> Iterator[tuple[KitClip, Samples]]:
    """Yield each clip with its samples; one file at a time is in memory.

    Parameters
    ----------
    clips : iterable of KitClip
        Neighbours of one file are decoded at once; so keep the order of `Kit`.
    rate : int
        Hz, of the samples.

    Yields
    ------
    clip : KitClip
    samples : float32, shape (round(seconds * rate),)

    Raises
    ------
    SourceError
        A file is missing or damaged.
    """
    from monitor.audio.sources.ffmpeg import (
        decode,
    )  # takes 16 MB, which a calibrated checkpoint does not need

    for file, group in groupby(clips, lambda clip: clip.file):
        whole = decode(file, rate)
        for clip in group:
            start = round(clip.start * rate)
            stop = start + round(clip.seconds * rate)
            if stop > len(whole):
                raise SourceError(f"{file}: is shorter than its manifest says; install clap-monitor again")
            yield clip, whole[start:stop].copy()


def _kit(folder: Path, manifest: Mapping[str, Any]) -> Kit:
    origins = [
        Origin(entry["package"], entry["version"], entry["licence"], entry["attribution"])
        for entry in manifest["origins"]
    ]

    def clip(entry: Mapping[str, Any]) -> KitClip:
        return KitClip(
            file=folder / entry["file"],
            start=float(entry["start"]),
            seconds=float(entry["seconds"]),
            name=entry["name"],
            origin=origins[entry["origin"]],
            path=entry["path"],
        )

    return Kit(
        version=int(manifest["version"]),
        labels=tuple(
            KitLabel(entry["name"], entry["sentence"], bool(entry["series"])) for entry in manifest["labels"]
        ),
        cohort=tuple(clip(entry) for entry in manifest["cohort"]),
        beds=tuple(clip(entry) for entry in manifest["beds"]),
        events=tuple(
            KitEvent(entry["name"], clip(entry), float(entry["onset"]), float(entry["offset"]))
            for entry in manifest["events"]
        ),
    )
