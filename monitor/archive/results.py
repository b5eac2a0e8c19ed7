"""Results of a scan: a folder of Parquet files for each table, one per part, moved there once complete."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from monitor.archive.embeddings_file import embeddings_schema
from monitor.archive.recording_list import Recording
from monitor.archive.tables import (
    EMBEDDINGS_TABLE,
    EVENTS,
    EVENTS_TABLE,
    FILES,
    FILES_TABLE,
    TABLES,
    Origin,
    write_rows,
)
from monitor.system.atomic_file import open_no_link, sync, write_atomic
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import ConfigError, OutputError

DRAFTS = "drafts"
"""Folder of files that are not whole yet."""

_ABOUT, _LOCK = "scan.json", "lock"

_FAILED = "-failed"
"""Ends the name of a part that is tried again by the next run."""

_EMPTY = "none.parquet"
"""A file without rows in each folder, so that there is always something to read."""

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Draft:
    """Files of one part, whole but not yet among the results."""

    part: str
    """Name of the part."""
    failed: bool
    """Nothing could be read: the next run tries again."""
    seconds: float
    """Audio that was read."""
    events: int
    reason: str | None
    """What was wrong; None if nothing was."""
    file: str
    tables: dict[str, Path] = field(default_factory=dict)
    """Files by table."""


@dataclass(frozen=True, slots=True)
class Results:
    """Folder of results that only this process writes; from `opened`."""

    folder: Path

    @property
    def drafts(self) -> Path:
        """Where files are written first."""
        return self.folder / DRAFTS

    def settle(self, origin: Origin, dimension: int, *, embeddings: bool) -> None:
        """Note what the results come from, and make the folders of the tables.

        Raises
        ------
        ConfigError
            The folder has results of other settings.
        OutputError
            It cannot be written.
        """
        about = {
            "schema": 1,
            "model": origin.model,
            "identity": origin.identity,
            "settings": origin.settings,
            "embeddings": embeddings,
        }
        known = read_about(self.folder)
        if known is not None and known != about:
            differing = ", ".join(key for key in about if known.get(key) != about[key])
            raise ConfigError(
                f"--out: {self.folder} has results of another scan: {differing} differ; use another folder"
            )
        schemas = {EVENTS_TABLE: EVENTS, FILES_TABLE: FILES}
        if embeddings:
            schemas[EMBEDDINGS_TABLE] = embeddings_schema(dimension)
        content = json.dumps(about, indent=1).encode() + b"\n"
        try:
            for table, schema in schemas.items():
                (self.folder / table).mkdir(exist_ok=True)
                draft = self.drafts / f"{table}.{_EMPTY}"
                write_rows(draft, schema, [], origin)
                draft.replace(self.folder / table / _EMPTY)
            write_atomic(self.folder / _ABOUT, content, durable=True, mode=0o644)
        except OSError as error:
            raise OutputError(f"--out: {error.filename or self.folder}: {error.strerror}") from error

    def undone(self, recordings: Collection[Recording]) -> list[Recording]:
        """Return the recordings without results, and take away results of what they were before."""
        done = self._names()
        for recording in recordings:
            stale = done.get(_address(recording.part), set()) - {recording.part}
            if recording.part in done.get(_address(recording.part), set()):
                for name in stale:
                    self._remove(name)
        return [each for each in recordings if each.part not in done.get(_address(each.part), set())]

    def _names(self) -> dict[str, set[str]]:
        """Return the names of the parts that are done, by the hash of an address."""
        found: dict[str, set[str]] = {}
        for path in (self.folder / FILES_TABLE).glob("*.parquet"):
            if path.name != _EMPTY:
                found.setdefault(_address(path.stem), set()).add(path.stem)
        return found

    def commit(self, draft: Draft) -> None:
        """Put a part among the results; those of the same recording before go.

        Raises
        ------
        OutputError
            The disk refuses it.
        """
        name = draft.part + _FAILED * draft.failed
        try:
            for table in TABLES:
                if table in draft.tables:
                    draft.tables[table].replace(self.folder / table / f"{name}.parquet")
            for old in (self.folder / FILES_TABLE).glob(f"{_address(draft.part)}-*.parquet"):
                if old.stem != name:
                    self._remove(old.stem)
            sync(self.folder / FILES_TABLE)
        except OSError as error:
            raise OutputError(f"{self.folder}: {error.strerror}") from error

    def _remove(self, name: str) -> None:
        for table in reversed(TABLES):
            (self.folder / table / f"{name}.parquet").unlink(missing_ok=True)


def read_about(folder: Path) -> dict[str, object] | None:
    """Return what a folder of results says about itself; None if it is none.

    Raises
    ------
    ConfigError
        That is damaged.
    """
    try:
        found = read_json(folder / _ABOUT, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{folder / _ABOUT}: {error.strerror}") from error
    except DamagedError as error:
        raise ConfigError(f"{folder / _ABOUT}: {error}") from error
    return found if isinstance(found, dict) else {}


def _address(part: str) -> str:
    return part.split("-", maxsplit=1)[0]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Results]:
    """Open a folder of results for writing; drafts of a run that was killed are deleted.

    Raises
    ------
    OutputError
        It cannot be written, or another scan is writing to it.
    """
    try:
        for name in (DRAFTS, *TABLES):
            if (folder / name).is_symlink():
                raise OutputError(f"--out: {folder / name}: is a symbolic link; nothing is written elsewhere")
        (folder / DRAFTS).mkdir(parents=True, exist_ok=True)
        lock = open_no_link(folder / DRAFTS / _LOCK, append=True)
    except OSError as error:
        raise OutputError(f"--out: {error.filename or folder}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"--out: {folder}: another scan is writing to it") from error
        _clear(folder / DRAFTS)
        try:
            yield Results(folder)
        finally:
            _clear(folder / DRAFTS)


def _clear(drafts: Path) -> None:
    """Delete what a scan wrote; the folder may have been there before, with files of others."""
    for path in drafts.iterdir():
        is_ours = path.suffix.removeprefix(".") in TABLES or path.name.endswith(f".{_EMPTY}")
        if is_ours and (path.is_symlink() or path.is_file()):
            path.unlink(missing_ok=True)
