"""Listening socket of the page; it takes connections before the page is imported."""

from __future__ import annotations

import socket

from monitor.types import OutputError

_SEND_BYTES = 64 * 1024
"""Kernel buffer of a client that does not read; the default is megabytes."""

_DEAD_MILLISECONDS = 30_000
"""Without acknowledgements for this time, a client counts as disconnected."""


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    OutputError
        The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits both.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_MILLISECONDS)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"web: cannot listen on {host}:{port}: {error.strerror}; change web.port or web.host, "
            "or stop the program that uses it"
        ) from error
    return listener
