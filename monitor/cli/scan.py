"""Command over archives of recordings: scan."""

from __future__ import annotations

import signal
import sys
from contextlib import AbstractContextManager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from monitor.cli.app import ConfigFile, OtherLabels, OtherModel, app
from monitor.cli.logs import say
from monitor.cli.options import Overrides, settings_from
from monitor.types import ConfigError, MonitorError, NotAudioError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.archive.job import Job, Loaded
    from monitor.archive.recording_list import Recording
    from monitor.archive.results import Draft
    from monitor.archive.worker import Told
    from monitor.config import Config


class EngineName(StrEnum):
    """What does the work."""

    LOCAL = "local"
    RAY = "ray"


class ScanEngine(Protocol):
    """Loads the checkpoint and scans recordings, here or elsewhere."""

    def load(self) -> Loaded:
        """Return what is loaded."""

    def scan(self, recordings: Sequence[Recording]) -> Iterator[Draft | Told]:
        """Yield what is done, and how far the others are."""


@app.command()
def scan(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Sound files, folders, globs, or URLs such as s3://..."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")],
    config: ConfigFile = None,
    label: OtherLabels = None,
    model: OtherModel = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Keep the embeddings, for search and replay with --archive.")
    ] = False,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="NAME",
            help="Time zone of file names that state none, such as Europe/Berlin. Default: UTC; for names of "
            "BirdNET-Pi, that of this machine.",
        ),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option("--engine", help="Use this machine, or a Ray cluster.")
    ] = EngineName.LOCAL,
    processes: Annotated[
        int | None,
        typer.Option("--processes", min=1, help="Processes on this machine. Default: one for each core."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option("--ray-address", help="Address of the cluster. Default: Ray on this machine."),
    ] = None,
) -> None:
    """Detect sounds in recordings, as fast as this machine or a cluster can, into Parquet files.

    Windows, scores and events are those of `run --fast`.  Finished recordings are not scanned again: after
    Ctrl-C, or when recordings were added, run the same command again.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _check_extras(engine)
    from monitor.archive.job import Job
    from monitor.archive.recording_list import list_recordings
    from monitor.archive.results import Draft, opened
    from monitor.cli.console.scan_view import scan_progress

    settings = settings_from(config, Overrides(model=model, labels=tuple(label or ())))
    job = Job(_with_labels_in_force(settings, keeps=not label), _zone(time_zone), embeddings)
    recordings = list_recordings(paths)
    with opened(out) as results, _started(engine, job, results.drafts, processes, ray_address) as scanning:
        loaded = scanning.load()
        results.settle(loaded.origin, loaded.dimension, embeddings=embeddings)
        left = results.undone(recordings)
        if len(left) < len(recordings):
            say(f"{len(recordings) - len(left)} of {len(recordings)} recordings are done already")
        with scan_progress({each.part: each.size for each in left}) as progress:
            for at in scanning.scan(left):
                if isinstance(at, Draft):
                    results.commit(at)
                progress.show(at)
    say(progress.summary())
    if recordings and progress.unread == len(recordings):
        raise NotAudioError("none of the recordings could be read; the report has the reasons")


def _check_extras(engine: EngineName) -> None:
    if any(find_spec(name) is None for name in ("fsspec", "pyarrow")):
        raise MonitorError("scan needs more packages: pip install 'clap-monitor[scan]'")
    if engine == EngineName.RAY and find_spec("ray") is None:
        raise MonitorError("--engine ray needs more packages: pip install 'clap-monitor[scale]'")


def _with_labels_in_force(settings: Config, *, keeps: bool) -> Config:
    """Return the configuration with the labels that `run` would have, and paths that hold everywhere."""
    from monitor.detection.active_labels import restore_settings

    labels = restore_settings(settings, settings.state if keeps else None).active_labels.labels
    model, checkpoint = settings.model, Path(settings.model.checkpoint)
    if checkpoint.is_dir():
        model = model.model_copy(update={"checkpoint": str(checkpoint.absolute())})
    changes = {"labels": labels, "model": model, "state": settings.state.absolute()}
    return settings.model_copy(update=changes)


def _zone(name: str | None) -> str | None:
    try:
        return None if name is None else ZoneInfo(name).key
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ConfigError(
            f"--time-zone: {name!r} is not the name of a time zone, such as Europe/Berlin"
        ) from error


def _started(
    engine: EngineName, job: Job, drafts: Path, processes: int | None, ray_address: str | None
) -> AbstractContextManager[ScanEngine]:
    if engine == EngineName.RAY:
        from monitor.archive.ray_engine import RayEngine

        return RayEngine(job, drafts, ray_address)
    if ray_address is not None:
        raise typer.BadParameter("--ray-address needs --engine ray")
    from monitor.archive.local_engine import LocalEngine
    from monitor.system.cpu import allowed_cores

    return LocalEngine(job, drafts, processes or max(1, int(allowed_cores())))
