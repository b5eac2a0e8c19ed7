"""Tell the service manager how it goes: the notify protocol of systemd, without libsystemd.

Outside of systemd, where ``NOTIFY_SOCKET`` is not set, nothing happens.  See sd_notify(3).
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from typing import TextIO

log = logging.getLogger(__name__)

SEND_SECONDS = 1.0
"""A service manager that does not read for so long is not waited for."""


def notify(*assignments: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send assignments such as ``READY=1`` or ``STATUS=listening`` in one message.

    Parameters
    ----------
    *assignments : str
        ``NAME=value``; a line break in a value becomes a space, for it would begin another one.
    environment : mapping of str to str
        Where ``NOTIFY_SOCKET`` stands: a path, or ``@`` and an abstract name.

    Returns
    -------
    bool
        Whether it was sent.  A failure is logged and is no reason to stop listening.
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
        log.debug("systemd was not told %r: %s", message, error)
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Seconds within which systemd expects ``WATCHDOG=1``, feed it twice as often; None if it does not."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # it is meant for another process, such as a parent that passed its environment on
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) > 0 else None


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether what is written to a stream goes to the journal; see systemd.exec(5), ``$JOURNAL_STREAM``.

    The variable alone says nothing: a child inherits it, wherever its own output goes.
    """
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # closed, or no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
