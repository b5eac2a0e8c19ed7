"""Recordings of an archive: files, folders, globs and URLs, as a list of what there is to scan."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from fsspec.core import url_to_fs

from monitor.system.boundary import boundary, printable
from monitor.types import SourceError

_SUFFIXES = """
3gp aac ac3 aif aifc aiff amr ape au avi caf flac flv m2ts m4a m4b mka mkv mov mp2 mp3 mp4 mpg oga ogg ogv
opus rf64 snd ts w64 wav wave webm wma wv
"""
SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
"""Of the files that count in a folder; a file that is named counts whatever its suffix."""

_BLOCK_BYTES = 4 << 20
"""Read from a URL at once, and kept of it."""

_NO_NAME = re.compile(r"[\d\s._:-]*|DCIM|By_Date", re.IGNORECASE)
"""Folders that are dates, numbers or a card's own, and name no place."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of an archive."""

    address: str
    """Absolute path, or URL."""
    size: int
    """Bytes."""
    version: str
    """Text that changes with the content: the time of its last change, or the tag of an object store."""
    modified_at: float | None = None
    """Unix seconds of the last change, if known."""

    @property
    def is_remote(self) -> bool:
        """Whether it has a URL."""
        return "://" in self.address

    @property
    def file(self) -> str:
        """The address as text; bytes that are not UTF-8 become replacement characters."""
        return printable(os.fsencode(self.address).decode("utf-8", errors="replace"))

    @property
    def place(self) -> str:
        """The folder that it is in, without those that are only a date or a number."""
        parents = PurePosixPath(self.file.split("://")[-1]).parent.parts
        return next(
            (name for name in reversed(parents) if not _NO_NAME.fullmatch(name.strip("/"))), "archive"
        )

    @property
    def part(self) -> str:
        """Name of its part of the results: a hash of the address, and one of the size and the version."""
        return f"{_hash(self.address)[:24]}-{_hash(f'{self.size} {self.version}')[:12]}"

    def open(self) -> Path | BinaryIO:
        """Return the path, or the open file behind a URL, of which little is in memory at any time.

        Raises
        ------
        SourceError
            It cannot be opened.
        """
        if not self.is_remote:
            return Path(self.address)
        with boundary(SourceError, self.file):
            files, path = url_to_fs(self.address)
            try:
                opened: BinaryIO = files.open(path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead")
            except FileNotFoundError as error:  # its text is only the path
                raise SourceError(f"{self.file}: {os.strerror(errno.ENOENT)}") from error
            return opened


def _hash(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def list_recordings(paths: Iterable[str]) -> list[Recording]:
    """Return the recordings that files, folders, globs and URLs name, in order of their addresses.

    Raises
    ------
    SourceError
        One names nothing.
    """
    found: dict[str, Recording] = {}
    for path in paths:
        before = len(found)
        for recording in _remote(path) if "://" in path else _local(path):
            found.setdefault(recording.address, recording)
        if len(found) == before and not found:
            raise SourceError(f"{printable(path)}: holds no sound files")
    return [found[address] for address in sorted(found)]


def _local(path: str) -> Iterator[Recording]:
    if has_magic(path) and not os.path.lexists(path):
        named = [Path(each) for each in glob(path, recursive=True)]  # noqa: PTH207 - may be absolute
        if not named:
            raise SourceError(f"{printable(path)}: there is no such file")
    else:
        named = [Path(path)]
    for each in named:
        yield from _in_folder(each) if each.is_dir() else [_file(each, named=not has_magic(path))]


def _in_folder(folder: Path) -> Iterator[Recording]:
    for directory, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield _file(Path(directory, name), named=False)


def _file(path: Path, *, named: bool) -> Recording:
    """Return a file; one that cannot be looked at is a recording all the same, and fails when it is read."""
    address = os.path.abspath(path)  # noqa: PTH100 - `absolute` keeps the dots
    try:
        found = path.stat()
    except OSError as error:
        if named:
            raise SourceError(f"{printable(str(path))}: {error.strerror}") from error
        return Recording(address, 0, "")
    return Recording(address, found.st_size, str(found.st_mtime_ns), found.st_mtime)


def _remote(url: str) -> Iterator[Recording]:
    with boundary(SourceError, url):
        files, path = url_to_fs(url)
        if has_magic(path):
            infos = files.glob(path, detail=True)
        elif files.isdir(path):
            infos = files.find(path, detail=True)
        else:
            infos = {path: files.info(path)}
            yield _object(files.unstrip_protocol(path), infos[path])
            return
    for name, info in infos.items():
        if info.get("type") != "directory" and PurePosixPath(name).suffix.lower() in SUFFIXES:
            yield _object(files.unstrip_protocol(name), info)


def _object(address: str, info: Mapping[str, Any]) -> Recording:
    changed = info.get("LastModified", info.get("mtime", info.get("updated")))
    modified_at = changed.timestamp() if hasattr(changed, "timestamp") else changed
    version = info.get("ETag") or info.get("etag") or changed
    at = float(modified_at) if isinstance(modified_at, int | float) else None
    return Recording(address, int(info.get("size") or 0), str(version), at)
