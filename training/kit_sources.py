"""Recordings that may go into the calibration kit: free, of known terms, and in no evaluation."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from training.kit_licences import UNNAMED, Terms, shortened, terms_of
from training.packages import packages, sounds_of
from training.places import Places
from training.recordings import evaluated_paths, without_evaluated
from training.sound import write_sound
from training.soundfont import read_soundfont

UNUSABLE = 2
"""Rank of a licence that is unknown, or does not allow what we do."""

SOUNDFONTS = {
    "csound-soundfont": ("usr/share/sounds/sf2/sf_GMbank.sf2", Terms("public-domain", "sf_GMbank.sf2")),
    "fluid-soundfont-gm": (
        "usr/share/sounds/sf2/FluidR3_GM.sf2",
        Terms("MIT", "2000-2002, 2008 Frank Wen; 2008 Toby Smithe"),
    ),
}
"""Packages with recordings of instruments and effects, and the terms of these."""

OCTAVE_UP = "1oct"
"""End of the names of samples that are stored an octave too high."""

SHORTEST_NOTE_S = 0.12
"""A shorter sample of a SoundFont is one period of a tone."""


@dataclass(frozen=True)
class Source:
    """One recording inside a Debian package."""

    file: Path
    package: str
    version: str
    path: str
    """In the package."""
    terms: Terms
    label: str
    """Empty where nobody named it."""
    caption: str

    @property
    def folder(self) -> tuple[str, str]:
        """Package and folder; an instrument of a SoundFont is a folder."""
        return (self.package, self.group[1] if "#" in self.path else str(PurePosixPath(self.path).parent))

    @property
    def group(self) -> tuple[str, str]:
        """Package and name without numbers: variants of one sound share it."""
        place = PurePosixPath(self.path)
        name = place.name.partition("#")[2].partition(" ")[0] or place.stem
        return self.package, re.sub(r"[\d_\W]+", "", f"{place.parent.name}/{name}".lower())


def find_sources(places: Places) -> Iterator[Source]:
    """List the usable recordings of all packages that `fetch` unpacked, in a fixed order."""
    yield from _named(places)
    for name in SOUNDFONTS:
        yield from _soundfont(places, name)
    for package in packages():
        folder = places.packages / package.name
        for file in sounds_of(folder):
            path = PurePosixPath(file.relative_to(folder))
            terms = terms_of(folder, package.name, path)
            if terms and terms.rank < UNUSABLE:
                yield Source(file, package.name, package.version, str(path), terms, "", "")


def _named(places: Places) -> Iterator[Source]:
    """List those of the manifest; each group of duplicates once, none with an evaluated recording."""
    with gzip.open(places.manifest, "rt") as file:
        rows = list(csv.DictReader(file))
    versions = _versions(places.downloads)
    for row in without_evaluated(rows, evaluated_paths(places.data)):
        path = places.packages / row["package"] / row["path"]
        terms = Terms(row["licence"], shortened(" ".join(row["attribution"].split())) or UNNAMED)
        if path.is_file() and row["package"] in versions and terms.rank < UNUSABLE:
            label = "" if row["confidence"] == "low" else row["label"]
            version = versions[row["package"]]
            yield Source(path, row["package"], version, row["path"], terms, label, row["caption"])


def _soundfont(places: Places, package: str) -> Iterator[Source]:
    """List the samples of a SoundFont, which are written beside it."""
    archive, terms = SOUNDFONTS[package]
    folder = places.packages / package
    version = _versions(places.downloads)[package]
    for name, samples, rate in read_soundfont((folder / archive).read_bytes()):
        played = rate // 2 if name.endswith(OCTAVE_UP) else rate
        if len(samples) < SHORTEST_NOTE_S * played:
            continue
        file = folder / "samples" / (re.sub(r"[^A-Za-z0-9]+", "-", name) + ".wav")
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            write_sound(file, samples, played)
        yield Source(file, package, version, f"{archive}#{name}", terms, "", "")


def _versions(downloads: Path) -> dict[str, str]:
    """Version of each downloaded package, from the name that apt gives the archive."""
    names = (archive.name.split("_") for archive in sorted(downloads.glob("*_*_*.deb")))
    return {name: unquote(version) for name, version, *_ in names}
