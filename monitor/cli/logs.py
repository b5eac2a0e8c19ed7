"""Log lines on standard error: plain, with journal priorities, or as JSON."""

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

_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Priority of syslog by level."""


class JournalFormatter(logging.Formatter):
    """Lines with a priority prefix (sd-daemon(3)) and without a time, which the journal adds."""

    def __init__(self) -> None:
        super().__init__("%(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return one or more lines, each with the priority, so that a traceback keeps it."""
        priority = _PRIORITIES.get(record.levelno, _PRIORITIES[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ``at``, ``level``, ``logger``, ``message``, ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
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
    """Handler of standard error that drops lines if it cannot be written, for example on a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignore write errors; there is nowhere to report them."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def log_to_stderr(level: str, *, as_json: bool = False) -> None:
    """Log messages of the monitor from ``level`` on, and warnings of other packages; may be called again.

    Each line is a JSON object, or has a journal priority if standard error is the journal, or is plain.
    """
    handler = _StandardError(sys.stderr)
    if as_json:
        handler.setFormatter(JsonFormatter())
    elif systemd.is_journal(sys.stderr):
        handler.setFormatter(JournalFormatter())
    else:
        handler.setFormatter(logging.Formatter(_PLAIN))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("monitor").setLevel(level.upper())
    if as_json or isinstance(handler.formatter, JournalFormatter):
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_crash


def say(text: str, level: int = logging.INFO) -> None:
    """Print a message on standard error: plain on a terminal, as a log line in the journal or as JSON."""
    if isinstance(_formatter(), JournalFormatter | JsonFormatter):
        logging.getLogger("monitor").log(level, "%s", text)
    else:
        with contextlib.suppress(OSError):  # a full disk behind it
            print(text, file=sys.stderr)


def open_closed_streams() -> None:
    """Open the null device as standard output and error if the process was started without them.

    Otherwise the next file that is opened gets their descriptor, and everything written to them.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - for as long as the process


def discard_unwritable_streams() -> None:
    """Discard buffered output that cannot be written, so that the process does not fail at its exit."""
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
    """Log an uncaught exception in the format of the log."""
    logging.getLogger("monitor").critical("a bug in clap-monitor", exc_info=(kind, error, trace))
