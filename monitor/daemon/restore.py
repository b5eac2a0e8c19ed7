"""Restore: checks a whole backup, then puts it in the place of the state directory.

Nothing is changed before every file was compared with the manifest.  The old state directory is renamed, not
deleted.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from monitor.daemon.backup import CONFIGURATION, FORMAT, MANIFEST, STATE
from monitor.outputs.store import FILE as STORE
from monitor.outputs.store.database_copy import check_database
from monitor.system.atomic_file import PRIVATE, flush_to_disk, write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.system.directories import make_directory
from monitor.system.sqlite import DatabaseError
from monitor.system.state_version import VERSION
from monitor.types import ExitCode, MonitorError, OutputError

_NAME = re.compile(r"(monitor\.yaml|state(/[A-Za-z0-9_.-]+){1,4})")
"""Names of files that a backup may hold; none leads out of the state directory."""

_MOST_MANIFEST = 64 * 2**20
_BLOCK = 2**20


class BackupError(MonitorError):
    """A file is not a whole backup."""

    exit_code = ExitCode.DATA


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    files: int
    made_at: float
    """Unix seconds of the backup."""
    aside: Path | None
    """Where the state directory is that was there before."""
    configuration: Path | None
    """Where the configuration of the backup was written."""


def restore_backup(path: Path, state: Path, configuration: Path) -> Restored:
    """Replace the state directory by that of a backup; no monitor may be using it.

    Parameters
    ----------
    path : Path
        The archive.
    state : Path
        The state directory.
    configuration : Path
        Where the configuration goes; if there is a file, beside it with ``.restored.yaml``.

    Raises
    ------
    BackupError
        The archive is cut, changed, or of a newer version.
    OutputError
        The state directory cannot be written.
    """
    parent = state.absolute().parent
    try:
        make_directory(parent)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=parent) as scratch:
            manifest = _unpacked(path, Path(scratch))
            new = Path(scratch) / STATE
            make_directory(new)
            _check_store(path, new / STORE)
            written = _place_configuration(Path(scratch) / CONFIGURATION, configuration)
            aside = _set_aside(state)
            new.rename(state)
    except OSError as error:
        raise OutputError(f"{state}: not restored: {error.strerror or error}") from error
    return Restored(len(manifest["files"]), float(manifest["made_at"]), aside, written)


def _unpacked(path: Path, scratch: Path) -> Mapping[str, Any]:
    """Unpack an archive, compare every file with the manifest, and return it."""
    found: dict[str, tuple[int, str]] = {}
    manifest: Mapping[str, Any] | None = None
    with _opened(path) as archive:
        for member, file in _members(path, archive):
            if member.name == MANIFEST:
                manifest = _manifest(path, file.read(_MOST_MANIFEST + 1))
                continue
            if not _NAME.fullmatch(member.name) or any(
                part in {".", ".."} for part in member.name.split("/")
            ):
                raise BackupError(f"{path}: holds a file that is no part of a backup: {member.name[:80]!r}")
            found[member.name] = member.size, _copied(file, scratch / member.name)
    if manifest is None:
        raise BackupError(f"{path}: is not a whole backup: its manifest is missing")
    wanted = {name: (each["bytes"], each["sha256"]) for name, each in manifest["files"].items()}
    if found != wanted:
        differs = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        raise BackupError(f"{path}: is damaged: {', '.join(differs[:5])}")
    return manifest


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size % tarfile.RECORDSIZE:
                raise BackupError(f"{path}: is not a whole backup: its end is missing")
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield archive
    except FileNotFoundError:
        raise BackupError(f"{path}: no such file") from None
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{path}: is not a whole backup: {explain(error)}") from error


def _members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    seen: set[str] = set()
    for member in archive:
        file = archive.extractfile(member) if member.isreg() else None
        if file is None or member.name in seen:
            raise BackupError(f"{path}: holds something that is no part of a backup: {member.name[:80]!r}")
        seen.add(member.name)
        yield member, file


def _manifest(path: Path, content: bytes) -> Mapping[str, Any]:
    if len(content) > _MOST_MANIFEST:
        raise BackupError(f"{path}: its manifest is too large")
    try:
        manifest = parse_json(content.decode())
        newest = max(int(manifest["format"]) - FORMAT, int(manifest["state_version"]) - VERSION)
        float(manifest["made_at"])
        for each in manifest["files"].values():
            int(each["bytes"])
            str(each["sha256"])
    except (DamagedError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackupError(f"{path}: its manifest is damaged: {explain(error)}") from error
    if newest > 0:
        raise BackupError(f"{path}: was made by a newer version of clap-monitor ({manifest.get('version')})")
    found: Mapping[str, Any] = manifest
    return found


def _copied(file: IO[bytes], target: Path) -> str:
    """Copy a file; return its SHA-256."""
    make_directory(target.parent)
    sha256 = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(target, flags, PRIVATE), "wb") as copy:  # noqa: PTH123 - a descriptor, not a path
        while block := file.read(_BLOCK):
            sha256.update(block)
            copy.write(block)
        flush_to_disk(copy)
    return sha256.hexdigest()


def _check_store(path: Path, store: Path) -> None:
    if not store.exists():
        return
    try:
        check_database(store)
    except DatabaseError as error:
        raise BackupError(f"{path}: {STORE} in it {error}") from error


def _place_configuration(found: Path, wanted: Path) -> Path | None:
    if not found.exists():
        return None
    place = wanted if not wanted.exists() else wanted.with_suffix(".restored.yaml")
    write_atomic(place, found.read_bytes())
    return place


def _set_aside(state: Path) -> Path | None:
    """Rename the state directory; one that is empty is removed."""
    if not state.exists():
        return None
    if state.is_dir() and not any(state.iterdir()):
        state.rmdir()
        return None
    aside = state.with_name(f"{state.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
    if aside.exists():
        raise OSError(0, f"{aside} exists already")
    shutil.move(state, aside)
    return aside
