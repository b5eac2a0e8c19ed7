"""Systemd notifications: the sd_notify protocol, without libsystemd.

Does nothing outside systemd, where ``NOTIFY_SOCKET`` is not set.  See sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import TextIO

log = logging.getLogger(__name__)

SEND_SECONDS = 1.0
"""A service manager that does not read within this time is not waited for."""


def notify(*assignments: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send assignments such as ``READY=1`` in one message; return whether it was sent, and log a failure.

    A line break in a value becomes a space: it would begin another assignment.  ``NOTIFY_SOCKET`` is a path,
    or ``@`` and an abstract name.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    message = "\n".join(" ".join(line.splitlines()) for line in assignments)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.settimeout(SEND_SECONDS)
            channel.connect(address)
            channel.sendall(message.encode())
    except OSError as error:
        log.debug("systemd notification %r not sent: %s", message, error)
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which systemd expects ``WATCHDOG=1``, to be sent twice as often; None if it does not."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for another process, such as a parent that passed its environment on
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) > 0 else None


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream is connected to the journal; see systemd.exec(5), ``$JOURNAL_STREAM``.

    The variable alone is not enough: a child inherits it, even if its own output goes elsewhere.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
