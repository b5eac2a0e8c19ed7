"""Step `fetch`: get the Debian packages of the manifest and of `packages.csv`, and unpack them.

apt verifies the hash of each package against the signed index of the distribution.
"""

from __future__ import annotations

import csv
import gzip
import logging
import subprocess
from pathlib import Path

from tqdm import tqdm

from training.packages import SOUNDS, packages, unpack_sounds
from training.places import Places
from training.rcc import read_resources

LOG = logging.getLogger(__name__)
WORDNET = "wordnet-base"


def fetch(places: Places) -> None:
    """Download and unpack whatever is not unpacked yet."""
    places.downloads.mkdir(parents=True, exist_ok=True)
    places.packages.mkdir(parents=True, exist_ok=True)
    with gzip.open(places.manifest, "rt") as file:
        wanted = {row["package"] for row in csv.DictReader(file)} | {WORDNET}
    for package in tqdm(sorted(wanted), desc="packages"):
        target = places.packages / package
        if not target.exists():
            _unpack(_download(package, places.downloads), target)
    unpack_gcompris(places.packages / "gcompris-qt-data")
    for further in tqdm(packages(), desc="further packages"):
        target = places.packages / further.name
        if not target.exists():
            archive = _download(further.name, places.downloads)
            unpack_sounds(further, archive, target)
            archive.unlink()  # all of them are nine gigabytes, a third of it sound


def unpack_gcompris(package: Path) -> None:
    """Write the sounds inside GCompris' resource files to ``rccx/`` in the package."""
    target = package / "rccx"
    if target.exists():
        return
    for archive in tqdm(sorted(package.rglob("*.rcc")), desc="resource files"):
        for name, content in read_resources(archive):
            if name.endswith(SOUNDS):
                file = target / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)


def _download(package: str, folder: Path) -> Path:
    found = sorted(folder.glob(f"{package}_*.deb"))
    if not found:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True)
        found = sorted(folder.glob(f"{package}_*.deb"))
    return found[-1]


def _unpack(archive: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    subprocess.run(["dpkg", "-x", str(archive), str(part)], check=True)
    part.rename(target)
    LOG.info("unpacked %s", archive.name)
