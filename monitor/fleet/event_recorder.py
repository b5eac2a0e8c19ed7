"""Event recorder: events of a fleet in files of bounded size, none of them half written.

Events are first appended to one file of JSON lines beside the result, which the next start finishes if the
process was killed.  So an event may be in two files after a crash, but is never lost: ``event_id`` and
``phase`` together say which it is.
"""

from __future__ import annotations

import fcntl
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Self

from monitor.fleet.event_feed import FleetEvent
from monitor.system.atomic_file import open_no_link, sync
from monitor.types import ConfigError, OutputError

log = logging.getLogger(__name__)

FILE_EVENTS, FILE_SECONDS = 100_000, 3600.0
"""Events in a file, and seconds for which it is written, at most."""

SUFFIXES = (".jsonl", ".parquet")

_BATCH = 5_000
"""Events that are converted at once."""


class EventRecorder:
    """Writes events to ``NAME-000001.jsonl`` and so on; a context manager.

    Parameters
    ----------
    path : Path
        ``NAME.jsonl`` or ``NAME.parquet``.
    file_events : int
        Events in a file, at most.
    file_seconds : float
        Seconds for which a file is written, at most.

    Raises
    ------
    ConfigError
        The name ends otherwise, or another process writes there.
    OutputError
        The directory cannot be written.
    """

    def __init__(
        self, path: Path, *, file_events: int = FILE_EVENTS, file_seconds: float = FILE_SECONDS
    ) -> None:
        if path.suffix not in SUFFIXES:
            raise ConfigError(f"--record: {path}: the name must end with {' or '.join(SUFFIXES)}")
        if path.suffix == ".parquet":
            _needs_pyarrow()
        self.written = 0
        """Events that were written."""
        self._path = path
        self._file_events, self._file_seconds = file_events, file_seconds
        self._spool_path = path.with_name(f"{path.stem}.open")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._spool = open_no_link(self._spool_path, append=True)
        except OSError as error:
            raise OutputError(f"--record: {path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._spool, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._spool.close()
            raise ConfigError(f"--record: {self._spool_path}: another process is writing to it") from error
        self._count = sum(1 for _ in _events_of(self._spool_path))
        self._opened_at = time.monotonic()

    def __enter__(self) -> Self:
        self._finish()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._finish()
        finally:
            self._spool.close()
        with suppress(OSError):
            self._spool_path.unlink()

    def add(self, events: Sequence[FleetEvent]) -> None:
        """Write events, and finish the file if it is full or old.

        Raises
        ------
        OutputError
            They cannot be written.
        """
        try:
            if events:
                lines = "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for event in events)
                self._spool.write(lines.encode())
                self._spool.flush()
        except OSError as error:
            raise OutputError(f"--record: {self._spool_path}: {error.strerror}") from error
        self.written += len(events)
        self._count += len(events)
        is_old = time.monotonic() >= self._opened_at + self._file_seconds
        if self._count >= self._file_events or is_old:
            self._finish()

    def _finish(self) -> None:
        """Make what was appended a whole file under the next number."""
        self._opened_at = time.monotonic()
        if not self._count:
            return
        target = _next_free(self._path)
        draft = target.with_suffix(".part")
        try:
            if self._path.suffix == ".parquet":
                from monitor.fleet.event_table import write_table  # noqa: PLC0415 - the extra `fleet`

                open_no_link(draft).close()
                write_table(_batches(self._spool_path), draft)
            else:
                with open_no_link(draft) as file:
                    file.writelines(
                        f"{json.dumps(event, ensure_ascii=False)}\n".encode()
                        for event in _events_of(self._spool_path)
                    )
            sync(draft)
            draft.replace(target)
            self._spool.truncate(0)
        except OSError as error:
            raise OutputError(f"--record: {target}: cannot be written: {error.strerror}") from error
        self._count = 0


def _needs_pyarrow() -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("pyarrow") is None:
        raise ConfigError("--record: Parquet needs pyarrow: pip install 'clap-monitor[fleet]', or use .jsonl")


def _next_free(path: Path) -> Path:
    numbers = [
        int(text)
        for each in path.parent.glob(f"{escape(path.stem)}-*{path.suffix}")
        if (text := each.stem.removeprefix(f"{path.stem}-")).isdecimal()
    ]
    return path.with_name(f"{path.stem}-{max(numbers, default=0) + 1:06d}{path.suffix}")


def _events_of(spool: Path) -> Iterator[FleetEvent]:
    """Yield the events in a file; the last line may be cut, by a power failure or a full disk."""
    with spool.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                log.warning("%s: an incomplete line is left out", spool)
                continue
            if isinstance(event, dict):
                yield event


def _batches(spool: Path) -> Iterator[list[FleetEvent]]:
    batch: list[FleetEvent] = []
    for event in _events_of(spool):
        batch.append(event)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
