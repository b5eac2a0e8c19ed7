"""Whether something can be written at all."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from monitor.system.atomic_file import make_directory, try_directory
from monitor.types import OutputError

log = logging.getLogger(__name__)


def make_writable(directory: Path, key: str, *, mode: int = 0o700) -> None:
    """Make a directory, with this mode, and see that files can be made in it.

    A full disk is only logged: it may have room again, and the monitor is needed all the same.

    Raises
    ------
    OutputError
        That names the directory, the configuration key and the reason.
    """
    try:
        make_directory(directory, mode)
        try_directory(directory)
    except OSError as error:
        why = error.strerror or error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            log.error("%s: nothing can be kept: %s", directory, why)  # noqa: TRY400
            return
        raise OutputError(
            f"{directory}: cannot be written: {why}; set `{key}` to a directory that can"
        ) from error
    found = directory.stat().st_mode & 0o777
    if found & 0o077 & ~mode:
        log.warning(
            "%s: other users of this machine may look into it (mode %o); unless you want that: chmod %o %s",
            directory,
            found,
            mode,
            directory,
        )
