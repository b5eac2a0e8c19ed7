"""Recordings that may go into the calibration kit: free, of known terms, and in no evaluation."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from training.kit_licences import UNNAMED, Terms, shortened, terms_of
from training.packages import packages, sounds_of
from training.places import Places
from training.recordings import evaluated_paths, without_evaluated
from training.sound import write_sound
from training.soundfont import read_soundfont, render

UNUSABLE = 2
"""Rank of a licence that is unknown, or does not allow what we do."""

INSTRUMENTS = "fluid-soundfont-gm"
"""A package with recordings of instruments, and where; its licence is said in one sentence for all."""

INSTRUMENTS_FILE = "usr/share/sounds/sf2/FluidR3_GM.sf2"
INSTRUMENTS_TERMS = Terms("MIT", "2000-2002, 2008 Frank Wen; 2008 Toby Smithe")

EFFECTS = {
    "csound-soundfont": "usr/share/sounds/sf2/sf_GMbank.sf2",
    "musescore-general-soundfont": "usr/share/sounds/sf3/MuseScore_General_Full.sf3",
}
"""Packages of which the manifest lists effects, as ``rendered/BANK_PROGRAM_NAME.flac``."""

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


def find_sources(places: Places, further: Collection[str]) -> Iterator[Source]:
    """List the usable recordings of the manifest's packages and of ``further`` ones, in a fixed order."""
    yield from _named(places)
    yield from _instruments(places)
    for package in packages():
        if package.name not in further:
            continue
        folder = places.packages / package.name
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: run `python -m training fetch` first")
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
        if row["package"] in EFFECTS:
            path = _rendered(places, row["package"], row["path"])
        else:
            path = places.packages / row["package"] / row["path"]
        terms = Terms(row["licence"], shortened(" ".join(row["attribution"].split())) or UNNAMED)
        if path.is_file() and row["package"] in versions and terms.rank < UNUSABLE:
            label = "" if row["confidence"] == "low" else row["label"]
            version = versions[row["package"]]
            yield Source(path, row["package"], version, row["path"], terms, label, row["caption"])


def _rendered(places: Places, package: str, path: str) -> Path:
    """Return the file of an effect, played if it was not yet."""
    target = places.work / "rendered" / package / Path(path).with_suffix(".wav").name
    if not target.exists():
        bank, program = (int(number) for number in Path(path).name.split("_")[:2])
        render(places.packages / package / EFFECTS[package], bank, program, target)
    return target


def _instruments(places: Places) -> Iterator[Source]:
    """List the recordings of instruments, which are written beside their archive."""
    folder = places.packages / INSTRUMENTS
    version = _versions(places.downloads)[INSTRUMENTS]
    for name, samples, rate in read_soundfont((folder / INSTRUMENTS_FILE).read_bytes()):
        if len(samples) < SHORTEST_NOTE_S * rate:
            continue
        file = folder / "samples" / (re.sub(r"[^A-Za-z0-9]+", "-", name) + ".wav")
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            write_sound(file, samples, rate)
        yield Source(file, INSTRUMENTS, version, f"{INSTRUMENTS_FILE}#{name}", INSTRUMENTS_TERMS, "", "")


def _versions(downloads: Path) -> dict[str, str]:
    """Version of each downloaded package, from the name that apt gives the archive."""
    names = (archive.name.split("_") for archive in sorted(downloads.glob("*_*_*.deb")))
    return {name: unquote(version) for name, version, *_ in names}
