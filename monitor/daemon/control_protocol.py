"""Control protocol: one line of JSON as request, lines of JSON as answer; never blocks on the client."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from typing import Any

from monitor.system.boundary import boundary
from monitor.system.bounded_read import DamagedError, parse_json
from monitor.types import MonitorError

MOST_BYTES = 65_536
"""Size of a request at most."""

ASK_SECONDS = 5.0
"""Time for a client to send its request, and to read each line of the answer; then it is disconnected."""

Answer = Callable[[Mapping[str, Any]], Iterable[Mapping[str, object]]]
"""Receives a request and yields the lines of its answer; a MonitorError becomes its text and exit code.

An answer may go on without end, but must yield now and then: that is how it ends when the client has gone."""


class ControlExchange:
    """One connection: its request and its answer, read and written as far as possible without blocking.

    The connection is non-blocking from now on; `close` closes it.  ``answers`` are by the ``command`` of a
    request.
    """

    def __init__(self, connection: socket.socket, answers: Mapping[str, Answer]) -> None:
        self.connection = connection
        self.connected_at = time.monotonic()
        self.give_up_at = self.connected_at + ASK_SECONDS
        """Deadline for the client's next step, on the monotonic clock."""
        self._answers = answers
        self._request = bytearray()
        self._unsent = b""
        self._lines: Generator[bytes, None, None] | None = None
        connection.setblocking(False)

    @property
    def asked(self) -> bool:
        """Whether the request is complete."""
        return self._lines is not None

    def read(self) -> bool:
        """Read what has arrived of the request; return whether it is complete.

        Raises
        ------
        OSError
            The client has gone.
        """
        try:
            part = self.connection.recv(MOST_BYTES)
        except BlockingIOError:
            return False
        if not part:
            raise OSError(errno.EPIPE, "the request ends without a newline")
        self._request += part
        if not self._request.endswith(b"\n") and len(self._request) <= MOST_BYTES:
            return False
        self._lines = self._answer(bytes(self._request))
        self._request.clear()
        return True

    def write(self) -> bool:
        """Send the rest of a line; return whether nothing of it is left.

        Raises
        ------
        OSError
            The client has gone.
        """
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.connection.send(self._unsent) :]
        return not self._unsent

    def send_answer(self) -> bool:
        """Send lines until the answer ends or the client does not read; return whether more may follow.

        Raises
        ------
        OSError
            The client has gone.
        """
        assert self._lines is not None  # noqa: S101 - called after the request is complete
        for line in self._lines:
            self._unsent = line
            self.give_up_at = time.monotonic() + ASK_SECONDS
            if not self.write():
                return True
        return False

    def close(self) -> None:
        """Close the connection and the answer."""
        with suppress(OSError):
            self.connection.close()
        if self._lines is not None:
            self._lines.close()

    def _answer(self, content: bytes) -> Generator[bytes, None, None]:
        try:
            with boundary(MonitorError, "the request cannot be answered"):
                yield from self._lines_of(content)
        except MonitorError as error:
            yield as_line({"error": str(error), "exit_code": error.exit_code})

    def _lines_of(self, content: bytes) -> Generator[bytes, None, None]:
        request = _request(content)
        answer = self._answers.get(str(request.get("command")))
        if answer is None:
            raise MonitorError(f"unknown command; the commands are {', '.join(sorted(self._answers))}")
        lines = answer(request)
        try:
            for line in lines:
                yield as_line(line)
        finally:
            if isinstance(lines, Generator):
                lines.close()


def as_line(content: Mapping[str, object]) -> bytes:
    """Return one line of JSON; a lone surrogate becomes a question mark."""
    return json.dumps(content, allow_nan=False, ensure_ascii=False).encode(errors="replace") + b"\n"


def _request(content: bytes) -> Mapping[str, Any]:
    if len(content) > MOST_BYTES:
        raise MonitorError(f"a request has at most {MOST_BYTES} bytes")
    try:
        request = parse_json(content)
    except DamagedError as error:
        raise MonitorError(f"a request is one line of JSON: this one {error}") from error
    if not isinstance(request, dict):
        raise MonitorError('a request is a JSON object such as {"command":"status"}')
    return request
