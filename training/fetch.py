"""Step `fetch`: get the Debian packages of the manifest and of `packages.csv`, and unpack them.

apt verifies the hash of each package against the signed index of the distribution; of what other
releases have, `packages.csv` has the hash.
"""

from __future__ import annotations

import csv
import gzip
import logging
import subprocess
from pathlib import Path

from tqdm import tqdm

from training.kit_sources import INSTRUMENTS
from training.packages import SOUNDS, Package, packages, unpack_sounds
from training.places import Places
from training.rcc import read_resources

LOG = logging.getLogger(__name__)
ARCHIVES = ("http://deb.debian.org/debian/", "http://snapshot.debian.org/archive/debian/20261127T000000Z/")
"""Where files of other releases are: today's archive, and as it was when they were chosen."""

APT_HELPER = "/usr/lib/apt/apt-helper"

WORDNET = "wordnet-base"


def fetch(places: Places) -> None:
    """Download and unpack whatever is not unpacked yet."""
    places.downloads.mkdir(parents=True, exist_ok=True)
    places.packages.mkdir(parents=True, exist_ok=True)
    with gzip.open(places.manifest, "rt") as file:
        wanted = {row["package"] for row in csv.DictReader(file)} | {WORDNET, INSTRUMENTS}
    for package in tqdm(sorted(wanted), desc="packages"):
        target = places.packages / package
        if not target.exists():
            _unpack(_download(package, places.downloads), target)
    unpack_gcompris(places.packages / "gcompris-qt-data")
    for further in tqdm(packages(), desc="further packages"):
        target = places.packages / further.name
        if not target.exists():
            archive = _download_further(further, places.downloads)
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


def _download_further(package: Package, folder: Path) -> Path:
    """Get a package from apt, or its file, which apt knows nothing of; then its hash is checked."""
    if not package.file:
        return _download(package.name, folder)
    target = folder / package.file.rpartition("/")[2]
    for archive in ARCHIVES:
        if target.exists():
            break
        address = archive + package.file
        LOG.info("%s", address)
        subprocess.run(
            [APT_HELPER, "download-file", address, target, f"SHA256:{package.sha256}"], check=False
        )
    if not target.exists():
        raise RuntimeError(f"{package.file}: neither at {ARCHIVES[0]} nor at {ARCHIVES[1]} with its hash")
    return target
