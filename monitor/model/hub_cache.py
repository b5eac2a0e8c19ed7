"""The cache of the hub on this machine, in the layout that huggingface_hub shares between programs.

``blobs`` holds files by their hash, ``snapshots/COMMIT`` links to them by their names.  Others may write
there too.  So nothing is written through a link, nothing is taken that leads out of the cache, and a file
takes its place only once it has the right hash.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from monitor.types import ModelError

COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Expected:
    """A file as the hub describes it."""

    name: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of a large file, git's SHA-1 of a small one, in hexadecimal digits."""

    def hasher(self) -> hashlib._Hash:
        """Hash of the file before its first byte."""
        if len(self.digest) == 64:  # noqa: PLR2004 - SHA-256
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """The part of the cache that belongs to one checkpoint."""

    root: Path
    """The cache."""
    path: Path
    """Below it."""

    def snapshot(self, commit: str) -> Path:
        """Directory of a commit."""
        return self.path / "snapshots" / commit

    def holds(self, path: Path) -> bool:
        """Whether a path stays in the cache, wherever its links lead."""
        return path.resolve().is_relative_to(self.root.resolve())

    def has(self, commit: str, file: Expected) -> bool:
        """Tell whether a file of a commit is here and as it is expected.

        Raises
        ------
        ModelError
            A whole file is here, but another one: a commit never changes, so the hub lies now or lied then.
        """
        path = self.snapshot(commit) / file.name
        if not path.is_file() or not self.holds(path):
            return False
        if _is_as(path, file):
            return True
        kept = path.resolve().name
        before = Expected(file.name, path.stat().st_size, kept)
        if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", kept) and _is_as(path, before):
            raise ModelError(
                f"{path}: is {kept}, but the hub now says {file.digest} for the same commit: it was left "
                "as it is; look for a proxy that changes what the hub says"
            )
        return False

    def adopt(self, commit: str, file: Expected) -> bool:
        """Link a file of a commit to a blob that another commit brought; False if there is none."""
        blob = self.path / "blobs" / file.digest
        if not blob.is_file() or not self.holds(blob) or not _is_as(blob, file):
            return False
        self._link(commit, file)
        return True

    @contextlib.contextmanager
    def place(self, commit: str, file: Expected) -> Iterator[IO[bytes]]:
        """Give a file to write to, which takes its place when the block ends well, and else is removed."""
        blobs = self._directory("blobs")
        if shutil.disk_usage(blobs).free < file.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with _draft(blobs / file.digest) as stream:
            yield stream
        self._link(commit, file)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file of our own beside the snapshots, whole or not at all."""
        with _draft(self._directory() / name) as stream:
            stream.write(content)

    def _directory(self, *parts: str) -> Path:
        path = self.path.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        if not self.holds(path):
            raise ModelError(f"{path}: leads out of the cache to {path.resolve()}: remove the link")
        return path

    def _link(self, commit: str, file: Expected) -> None:
        path = self._directory("snapshots", commit) / file.name
        draft = path.with_name(f"{file.name}.{secrets.token_hex(8)}.incomplete")
        blob = self.path / "blobs" / file.digest
        try:
            try:
                draft.symlink_to(Path("..", "..", "blobs", file.digest))
            except OSError:  # not every filesystem has links
                with _draft(path) as stream, blob.open("rb") as content:
                    while piece := content.read(2**20):
                        stream.write(piece)
                return
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that is put in the place of ``path``, whatever that is now, a link included."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.incomplete")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(draft, flags, 0o666), "wb") as stream:  # noqa: PTH123 - a descriptor
            yield stream
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _is_as(path: Path, file: Expected) -> bool:
    if path.stat().st_size != file.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, file.hasher).hexdigest() == file.digest
