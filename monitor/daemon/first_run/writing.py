"""Writing of set-up: secrets, backup and configuration, all of them or none."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from monitor.config import read_draft
from monitor.daemon.first_run.plan import Plan
from monitor.system.atomic_file import write_atomic
from monitor.types import MonitorError, OutputError

log = logging.getLogger(__name__)

BACKUP = ".backup"
"""Ending of the copy of the file that set-up replaces."""


class ChangedError(MonitorError):
    """The file has changed since the browser has seen it, or set-up is over."""


class HandWrittenError(MonitorError):
    """Somebody wrote the file by hand: it is never rewritten."""


def backup_of(plan: Plan) -> Path | None:
    """Return where the present file is copied to; None if there is none."""
    draft = plan.draft
    return None if draft.text is None else draft.path.with_name(draft.path.name + BACKUP)


def write(plan: Plan) -> None:
    """Write secrets, then the backup, then the configuration; each is complete or not there.

    Raises
    ------
    HandWrittenError, ChangedError
        The file is not ours, or has changed since the plan was made.
    OutputError
        It cannot be written; then nothing that was there has changed, and nothing new is left.
    """
    path, backup = plan.draft.path, backup_of(plan)
    if not plan.draft.is_ours:
        raise HandWrittenError(f"{path}: was written by hand, and is not rewritten: paste the text into it")
    if read_draft(path).text != plan.draft.text:
        raise ChangedError(f"{path}: has changed in the meantime: load the page again")
    new: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, secret in plan.secrets.items():
            new.append(file)
            write_atomic(file, f"{secret}\n".encode(), durable=True)
        if backup is not None:
            new += [] if backup.exists() else [backup]
            write_atomic(backup, (plan.draft.text or "").encode(), durable=True)
        write_atomic(path, plan.text.encode(), durable=True)
    except OSError as error:
        for file in new:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: cannot be written: {error.strerror}; nothing was changed: "
            "let the user of clap-monitor write to its directory, and free some space"
        ) from error
    log.info("set-up: wrote %s", path)
