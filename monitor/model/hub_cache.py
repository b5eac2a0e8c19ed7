"""Hub cache: the files of downloaded checkpoints, in the layout that all programs with huggingface_hub share.

``blobs`` contains files by hash; ``snapshots/COMMIT`` contains links to them by name.  Other programs may
write there too.  So no file is written through a link, no link out of the cache is followed, and a file is
put in its place only after its hash was verified.
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
    """File of a checkpoint as the hub lists it."""

    name: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of a large file, or Git's SHA-1 of a small one, in hexadecimal digits."""

    def hasher(self) -> hashlib._Hash:
        """New hash object, ready for the first byte of the file."""
        if len(self.digest) == 64:  # noqa: PLR2004 - SHA-256
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """Directory of one checkpoint in the cache."""

    root: Path
    """Directory of the cache."""
    path: Path
    """Below it."""

    def snapshot(self, commit: str) -> Path:
        """Directory of a commit."""
        return self.path / "snapshots" / commit

    def holds(self, path: Path) -> bool:
        """Return whether a path, with all links resolved, is within the cache."""
        return path.resolve().is_relative_to(self.root.resolve())

    def has(self, commit: str, file: Expected) -> bool:
        """Return whether a file of a commit is in the cache and unmodified.

        Raises
        ------
        ModelError
            A different, complete file is in the cache: commits never change, so one listing is wrong.
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
                f"{path}: has the hash {kept}, but the hub now lists {file.digest} for the same commit: "
                "the file was not replaced; look for a proxy that changes the answers of the hub"
            )
        return False

    def adopt(self, commit: str, file: Expected) -> bool:
        """Link a file of a commit to a blob of another commit; False if there is none."""
        blob = self.path / "blobs" / file.digest
        if not blob.is_file() or not self.holds(blob) or not _is_as(blob, file):
            return False
        self._link(commit, file)
        return True

    @contextlib.contextmanager
    def place(self, commit: str, file: Expected) -> Iterator[IO[bytes]]:
        """Open a file that is put in its place if the block succeeds, and deleted otherwise."""
        blobs = self._directory("blobs")
        if shutil.disk_usage(blobs).free < file.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with _draft(blobs / file.digest) as stream:
            yield stream
        self._link(commit, file)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file beside the snapshots, atomically."""
        with _draft(self._directory() / name) as stream:
            stream.write(content)

    def _directory(self, *parts: str) -> Path:
        path = self.path.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        if not self.holds(path):
            raise ModelError(f"{path}: links to a place outside the cache, {path.resolve()}: remove the link")
        return path

    def _link(self, commit: str, file: Expected) -> None:
        path = self._directory("snapshots", commit) / file.name
        draft = path.with_name(f"{file.name}.{secrets.token_hex(8)}.incomplete")
        blob = self.path / "blobs" / file.digest
        try:
            try:
                draft.symlink_to(Path("..", "..", "blobs", file.digest))
            except OSError:  # a file system without links
                with _draft(path) as stream, blob.open("rb") as content:
                    while piece := content.read(2**20):
                        stream.write(piece)
                return
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file that then replaces ``path``, even if that is a link."""
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
