"""Sounds of further Debian packages: nobody named them, the teacher says what they are like.

`packages.csv` lists every package of Debian 12 with at least four files of sound that the manifest
does not have, but for speech and music alone, some whose sounds are in archives, and what other
releases and a few source packages have beyond that.  The licence of each file is in the package's
copyright file, which `fetch` keeps.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

LOG = logging.getLogger(__name__)
TABLE = Path(__file__).with_name("packages.csv")

SOUNDS = (".wav", ".ogg", ".oga", ".mp3", ".flac", ".opus", ".aif", ".aiff", ".au")
ARCHIVES = (".zip", ".wz", ".pk3")
"""Zip files under the names that games give them."""

LICENCES = ("copyright", "copying", "license", "licence", "credits", "authors")
"""Files that tell where the sounds come from; in source packages not one but several."""

LARGEST = 60_000_000
"""Bytes of one sound; what is larger is an hour of music."""

SPOKEN = "_desc"
"""In the names of tuxpaint's files: a stamp's name read aloud, in 30 languages."""


@dataclass(frozen=True)
class Package:
    """One row of the table."""

    name: str
    version: str
    sha256: str
    """Of the archive that the starter was trained with."""
    licences: str
    """Names in its copyright file, of sounds and of everything else in it."""
    file: str = ""
    """Its place in Debian's archive, where apt does not know it: another release, or a source package."""


def packages() -> list[Package]:
    """The table, in its order."""
    with TABLE.open(newline="") as file:
        return [Package(*row) for row in list(csv.reader(file))[1:]]


def unpack_sounds(package: Package, archive: Path, target: Path) -> None:
    """Write the sounds of ``archive``, a `.deb` or the `.tar` of a source, and its licences to ``target``."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != package.sha256:
        LOG.warning("%s: not the version trained with, %s", archive.name, package.version)
    part = target.with_name(target.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    with _opened(archive) as tar:
        for name, content in _wanted(tar):
            sound = part / name
            sound.parent.mkdir(parents=True, exist_ok=True)
            sound.write_bytes(content)
    part.rename(target)


def sounds_of(folder: Path) -> list[Path]:
    """Files of sound in an unpacked package, in order; each content once."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SOUNDS and SPOKEN not in path.stem and path.is_file():
            found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), path)
    return list(found.values())


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    if archive.suffix != ".deb":
        with tarfile.open(archive) as tar:
            yield tar
        return
    with (
        subprocess.Popen(["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE) as unpacking,
        tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar,
    ):
        yield tar
    if unpacking.returncode:
        raise RuntimeError(f"{archive}: dpkg-deb failed with exit code {unpacking.returncode}")


def _wanted(tar: tarfile.TarFile) -> Iterator[tuple[PurePosixPath, bytes]]:
    for member in tar:
        name = PurePosixPath(member.name)
        kept = name.suffix.lower() in (*SOUNDS, *ARCHIVES) or name.stem.lower() in LICENCES
        content = tar.extractfile(member) if member.isreg() and kept else None
        if content is None or not _inside(name):
            continue
        if name.suffix.lower() in ARCHIVES:
            yield from _zipped(name, content.read())
        else:
            yield name, content.read()


def _zipped(archive: PurePosixPath, content: bytes) -> Iterator[tuple[PurePosixPath, bytes]]:
    archived = io.BytesIO(content)
    if not zipfile.is_zipfile(archived):
        return
    with zipfile.ZipFile(archived) as entries:
        for entry in entries.infolist():
            name = PurePosixPath(entry.filename)
            if name.suffix.lower() in SOUNDS and _inside(name) and entry.file_size <= LARGEST:
                yield archive / name, entries.read(entry)


def _inside(name: PurePosixPath) -> bool:
    return not name.is_absolute() and ".." not in name.parts
