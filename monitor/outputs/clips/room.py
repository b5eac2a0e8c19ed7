"""Whether something can be written at all."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from monitor.types import OutputError

log = logging.getLogger(__name__)


def make_writable(directory: Path, key: str) -> None:
    """Make a directory and see that files can be made in it.

    A full disk is only logged: it may have room again, and the monitor is needed all the same.

    Raises
    ------
    OutputError
        That names the directory, the configuration key and the reason.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.write_bytes(b"clap-monitor")
        probe.unlink()
    except OSError as error:
        why = error.strerror or error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            log.error("%s: nothing can be kept: %s", directory, why)  # noqa: TRY400
            return
        raise OutputError(
            f"{directory}: cannot be written: {why}; set `{key}` to a directory that can"
        ) from error
