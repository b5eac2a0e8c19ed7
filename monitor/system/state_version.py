"""State version: which layout the files of a state directory have.

The number rises when a later version reads or writes a file of the directory in another way.  An older
directory is brought up to date at the start; a newer one is refused, because what this version wrote into it
could be lost.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from monitor.system.atomic_file import write_atomic
from monitor.system.boundary import explain
from monitor.system.bounded_read import DamagedError, read_json
from monitor.types import OutputError

log = logging.getLogger(__name__)

FILE = "version.json"

VERSION = 1
"""Layout that this version of the monitor writes."""

MIGRATIONS: Mapping[int, Callable[[Path], None]] = {0: lambda _state: None}
"""Turns a directory of a version into one of the next; 0 is a directory without a file."""


def prepare_state(state: Path) -> None:
    """Bring a state directory up to date, and write its version; a full disk is only logged.

    Raises
    ------
    OutputError
        A newer version of the monitor wrote it.
    """
    found = state_version(state)
    if found == VERSION:
        return
    for version in range(found, VERSION):
        MIGRATIONS[version](state)
    try:
        write_atomic(state / FILE, json.dumps({"version": VERSION}).encode() + b"\n")
    except OSError as error:
        log.warning("%s: cannot be written: %s", state / FILE, error.strerror)


def state_version(state: Path) -> int:
    """Return the version of a state directory; 0 without a readable file.

    Raises
    ------
    OutputError
        It is newer than `VERSION`.
    """
    path = state / FILE
    try:
        content = read_json(path, 1_000)
    except FileNotFoundError:
        return 0
    except (OSError, DamagedError) as error:
        log.warning("%s: not readable, so it is written again: %s", path, explain(error))
        return 0
    version = content.get("version") if isinstance(content, dict) else None
    if type(version) is not int or version < 0:
        log.warning("%s: holds no version: it is written again", path)
        return 0
    if version > VERSION:
        raise OutputError(
            f"{state}: was written by a newer version of clap-monitor (layout {version}, this one knows "
            f"{VERSION}): install that version again, or set `state` to another directory"
        )
    return version
