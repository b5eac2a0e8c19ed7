"""Option --archive: the results of a scan in place of the memory."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitor.cli.periods import moment
from monitor.types import ExitCode, MonitorError

if TYPE_CHECKING:
    from monitor.detection.engine import Engine
    from monitor.memory.memory_reader import MemoryReader
    from monitor.memory.replay_diff import Firing

SinceOrAll = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="Start: 30m or 7d ago, or a date such as 2026-11-30T18:00. Default: 7d; with --archive: all.",
    ),
]
Archive = Annotated[
    Path | None,
    typer.Option(
        "--archive", metavar="DIR", help="Results of `scan --embeddings` to look at, instead of the memory."
    ),
]


class EmptyMemoryError(MonitorError):
    """Nothing is remembered of the checkpoint."""

    exit_code = ExitCode.SOURCE


def begin_of(since: str | None, archive: Path | None) -> float:
    """Return Unix seconds of the begin that was asked for, or of the default."""
    if since is None:
        return moment("7d") if archive is None else 0.0
    return moment(since)


def check_archive_extra(archive: Path | None) -> None:
    """Raise MonitorError if an archive is asked for, and the packages that read it are missing."""
    if archive is not None and find_spec("pyarrow") is None:
        raise MonitorError("--archive needs more packages: pip install 'clap-monitor[scan]'")


def open_archive(folder: Path, engine: Engine) -> tuple[Engine, MemoryReader]:
    """Open the results of a scan; return them with the engine, which now has the windows of the scan.

    Raises
    ------
    MonitorError
        They hold no embeddings of this checkpoint.
    """
    check_archive_extra(folder)
    from monitor.archive.archive_reader import ArchiveReader

    reader = ArchiveReader(folder, engine.model.identity)
    if not reader.sources:
        raise EmptyMemoryError(f"--archive: {folder}: has no recording with a window")
    return reader.as_scanned(engine), reader


def scanned(reader: MemoryReader, since: float, source: str | None) -> list[Firing]:
    """Return the events that a scan found."""
    from monitor.archive.archive_reader import ArchiveReader

    return reader.firings(since, source) if isinstance(reader, ArchiveReader) else []
