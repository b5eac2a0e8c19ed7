"""Commands that keep a monitor alive: backup, restore, support."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.app import ConfigFile, app
from monitor.cli.remote import StateDirectory
from monitor.types import ConfigError, ExitCode, MonitorError, OutputError

_DEFAULT_CONFIGURATION = Path("monitor.yaml")


class RunningError(MonitorError):
    """A monitor is using the state directory."""

    exit_code = ExitCode.TEMPORARY


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Archive to write.")],
    config: ConfigFile = None,
    state: StateDirectory = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Include the memory of embeddings: up to memory.max_megabytes.")
    ] = False,
) -> None:
    """Back up the configuration, the event store and all changes made at run time; also while it runs.

    Clips are not included: copy the directory `recordings` yourself.
    """
    from monitor.cli.console.status_view import size
    from monitor.config import state_of
    from monitor.daemon.backup import write_backup

    place = state or state_of(config)
    if not place.is_dir():
        raise OutputError(f"{place}: there is no state directory to back up")
    saved = write_backup(file, place, config, memory=memory)
    print(f"{file}: {saved.files} files, {size(saved.bytes)}")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Archive that `backup` wrote.")],
    config: ConfigFile = None,
    state: StateDirectory = None,
) -> None:
    """Restore a backup; the monitor must be stopped.

    The whole archive is checked first. An existing state directory is renamed. An existing configuration file
    stays, and that of the backup is written beside it.
    """
    from monitor.cli.console.memory_view import clock
    from monitor.config import state_of
    from monitor.daemon.restore import restore_backup

    wanted = config or _DEFAULT_CONFIGURATION
    place = state or state_of(config if config is not None and config.exists() else None)
    with _unused(place):
        done = restore_backup(file, place, wanted)
    print(f"{place}: {done.files} files, as of {clock(done.made_at)}")
    if done.aside is not None:
        print(f"{done.aside}: what was there before")
    if done.configuration is not None:
        print(f"{done.configuration}: the configuration of the backup")


@app.command()
def support(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Archive to write. Default: named by the time.")
    ] = None,
    config: ConfigFile = None,
    state: StateDirectory = None,
) -> None:
    """Write an archive for a bug report: versions, configuration, checks, status and log, without secrets.

    Addresses, paths and user names are left out; prompts and names of labels and sources are not. Read it
    before you send it.
    """
    from monitor.cli.support_archive import (
        as_text,
        newest_log,
        private_values,
        public_settings,
        versions,
        write_support,
    )
    from monitor.config import Config, load, state_of
    from monitor.daemon.control_socket import ask_once

    def settings() -> Config:
        return Config() if config is None else load(config)

    def hidden() -> frozenset[str]:
        try:
            return private_values(settings().model_dump(mode="json", exclude_unset=True))
        except ConfigError:  # which configuration.json will say
            return frozenset()

    def configuration() -> str:
        return as_text(public_settings(settings().model_dump(mode="json", exclude_unset=True)))

    def status() -> str:
        return as_text(public_settings(ask_once(state or state_of(config), {"command": "status"})))

    def checks() -> str:
        from monitor.cli.doctor.run import examine

        return "".join(f"{found.as_text()}\n" for found in examine(config))

    path = file or Path(f"clap-monitor-support-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    parts = {
        "versions.txt": versions,
        "configuration.json": configuration,
        "doctor.txt": checks,
        "status.json": status,
        "log.txt": newest_log,
    }
    try:
        names = write_support(path, parts, hidden())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    print(f"{path}: {', '.join(names)}")


@contextmanager
def _unused(state: Path) -> Iterator[None]:
    """Hold the lock of a state directory, so that no monitor uses it.

    Raises
    ------
    RunningError
        One does.
    """
    if not state.is_dir():
        yield
        return
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RunningError(f"{state}: a monitor is running there; stop it first") from None
    finally:
        os.close(directory)
