"""Lines on standard error: for people, for the journal, for machines."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from types import TracebackType
from typing import TextIO

from monitor.system import systemd

PEOPLE = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Of syslog, by level."""


class JournalFormatter(logging.Formatter):
    """The priority in front of every line, as sd-daemon(3) has it; the journal itself knows the time."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return one line or more, each with the priority: else the rest of a traceback would lose it."""
        priority = _PRIORITIES.get(record.levelno, _PRIORITIES[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``at``, ``level``, ``logger``, ``message``, and perhaps ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, without anything that was not logged."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        content = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


class _StandardError(logging.StreamHandler[TextIO]):
    """Lines on standard error; a full disk behind it costs lines, and nothing else."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Pass over what cannot be written: there is nowhere to say so."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def log_to_stderr(level: str, *, as_json: bool = False) -> None:
    """Log the monitor from ``level`` on, other packages from warnings on; may be called again.

    Parameters
    ----------
    level : str
        debug, info, warning or error.
    as_json : bool
        One JSON object a line.  Otherwise lines are for the journal if it reads along, else for people.
    """
    handler = _StandardError(sys.stderr)
    if as_json:
        handler.setFormatter(JsonFormatter())
    elif systemd.is_journal(sys.stderr):
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(logging.Formatter(PEOPLE))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("monitor").setLevel(level.upper())
    if as_json or isinstance(handler.formatter, JournalFormatter):
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_crash


def say(text: str, level: int = logging.INFO) -> None:
    """Say what is no log line to people: they get it bare, the journal and machines as all else."""
    if isinstance(_formatter(), JournalFormatter | JsonFormatter):
        logging.getLogger("monitor").log(level, "%s", text)
    else:
        with contextlib.suppress(OSError):  # a full disk behind it
            print(text, file=sys.stderr)


def open_what_is_closed() -> None:
    """Give a process that was started without standard output or error streams that go nowhere.

    A file that is opened later would else get their numbers, and whatever is written to them.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - for as long as the process


def let_go_of_streams() -> None:
    """Drop what standard output and error cannot take, else the process would end with an error for it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                stream.flush()


def _formatter() -> logging.Formatter | None:
    return next((handler.formatter for handler in logging.getLogger().handlers), None)


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what ends the process, so that every line of it has its priority, or all of it is one object."""
    logging.getLogger("monitor").critical("a fault of clap-monitor", exc_info=(kind, error, trace))
