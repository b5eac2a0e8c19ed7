"""Backup: one archive with the configuration and everything in the state directory that is worth keeping.

A tar file; the last file in it, ``manifest.json``, has the length and SHA-256 of every other.  It is made
while the monitor runs: the event store with SQLite's own backup, all other files as they are (they are
replaced whole, or only appended to).  Messages that wait for the broker, cached embeddings of prompts and the
clips are not in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monitor import __version__
from monitor.outputs.store import FILE as STORE
from monitor.outputs.store.database_copy import copy_database
from monitor.system.atomic_file import PRIVATE, flush_to_disk
from monitor.system.sqlite import DatabaseError
from monitor.system.state_version import VERSION
from monitor.types import OutputError

FORMAT = 1
"""Layout of the archive."""

MANIFEST = "manifest.json"
CONFIGURATION = "monitor.yaml"
STATE = "state"
MEMORY = "memory"

LEFT_OUT = ("outbox.sqlite", "prompts", "control.sock", ".writable")
"""Names in the state directory that belong to one run, or are made again."""

_BESIDE = ("-wal", "-shm", "-journal", ".part", ".broken.json", ".broken.sqlite")
"""Ends of names of files that are left out."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a backup holds."""

    files: int
    bytes: int


def write_backup(path: Path, state: Path, configuration: Path | None, *, memory: bool) -> Saved:
    """Write an archive; the file is complete or not there, and only its owner can read it.

    Parameters
    ----------
    path : Path
        Of the archive; an older one is replaced.
    state : Path
        The state directory; a monitor may be using it.
    configuration : Path or None
    memory : bool
        Whether the memory of embeddings is part of it.

    Raises
    ------
    OutputError
        Something cannot be read, or the archive cannot be written.
    """
    draft = path.with_name(path.name + ".part")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=path.absolute().parent) as scratch:
            sources = dict(_sources(state, configuration, Path(scratch), memory=memory))
            saved = _write(draft, sources)
        draft.replace(path)
    except (OSError, DatabaseError) as error:
        draft.unlink(missing_ok=True)
        raise OutputError(f"{path}: no backup: {getattr(error, 'strerror', None) or error}") from error
    return saved


def _sources(
    state: Path, configuration: Path | None, scratch: Path, *, memory: bool
) -> Iterator[tuple[str, Path]]:
    """Yield the names in the archive with the files to read."""
    if configuration is not None:
        yield CONFIGURATION, configuration
    for path in sorted(state.rglob("*")):
        name = path.relative_to(state)
        if name.parts[0] in LEFT_OUT or path.name.endswith(_BESIDE) or path.is_symlink():
            continue
        if not path.is_file() or (name.parts[0] == MEMORY and not memory):
            continue
        if name.as_posix() == STORE:
            copy_database(path, scratch / STORE)
            yield f"{STATE}/{name.as_posix()}", scratch / STORE
        else:
            yield f"{STATE}/{name.as_posix()}", path


def _write(draft: Path, sources: dict[str, Path]) -> Saved:
    """Write the archive; a file that has gone meanwhile, such as an old hour of the memory, is left out."""
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    files: dict[str, dict[str, object]] = {}
    with open(os.open(draft, flags, PRIVATE), "w+b") as target:  # noqa: PTH123 - a descriptor, not a path
        with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, path in sources.items():
                try:
                    file = path.open("rb")
                except FileNotFoundError:
                    continue
                with file:
                    member = tarfile.TarInfo(name)
                    member.size = os.fstat(file.fileno()).st_size  # it may grow: so much is copied
                    member.mode, member.mtime = PRIVATE, int(time.time())
                    reader = _Hashing(file)
                    archive.addfile(member, reader)
                    files[name] = {"bytes": member.size, "sha256": reader.digest}
            content = json.dumps(_manifest(files), indent=1).encode()
            member = tarfile.TarInfo(MANIFEST)
            member.size, member.mode, member.mtime = len(content), PRIVATE, int(time.time())
            archive.addfile(member, io.BytesIO(content))
        flush_to_disk(target)
        return Saved(len(files), target.seek(0, os.SEEK_END))


def _manifest(files: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        "format": FORMAT,
        "state_version": VERSION,
        "version": __version__,
        "made_at": round(time.time(), 3),
        "files": files,
    }


class _Hashing(io.RawIOBase):
    """Reads a file, and hashes what was read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def digest(self) -> str:
        """SHA-256 of all that was read."""
        return self._hash.hexdigest()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes."""
        content = self._file.read(size)
        self._hash.update(content)
        return content
