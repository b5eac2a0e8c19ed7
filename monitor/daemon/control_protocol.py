"""Conversation at the control socket: one request and its answer, without ever waiting for either."""

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
"""Of a request."""

ASK_SECONDS = 5.0
"""Whoever connects and has not sent the whole request after so long, or has not read a line of the answer,
is let go."""

Answer = Callable[[Mapping[str, Any]], Iterable[Mapping[str, object]]]
"""Takes a request and gives the lines of its answer; a MonitorError is answered as its text and exit code.

It may go on for as long as it likes, but must yield now and then: only so it learns that nobody listens."""


class ControlExchange:
    """A connection that is read and written as far as is possible at once.

    Parameters
    ----------
    connection : socket.socket
        Non-blocking from now on; closed by `close`.
    answers : mapping of str to callable
        By the ``command`` of a request.
    """

    def __init__(self, connection: socket.socket, answers: Mapping[str, Answer]) -> None:
        self.connection = connection
        self.connected_at = time.monotonic()
        self.give_up_at = self.connected_at + ASK_SECONDS
        """Moment of the monotonic clock until when it must have sent or read what is due."""
        self._answers = answers
        self._request = bytearray()
        self._unsent = b""
        self._lines: Generator[bytes, None, None] | None = None
        connection.setblocking(False)

    @property
    def asked(self) -> bool:
        """Whether the whole request is here."""
        return self._lines is not None

    def read(self) -> bool:
        """Read what there is of the request; tell whether it is whole.

        Raises
        ------
        OSError
            The other side has gone.
        """
        try:
            part = self.connection.recv(MOST_BYTES)
        except BlockingIOError:
            return False
        if not part:
            raise OSError(errno.EPIPE, "the request has no end")
        self._request += part
        if not self._request.endswith(b"\n") and len(self._request) <= MOST_BYTES:
            return False
        self._lines = self._answer(bytes(self._request))
        self._request.clear()
        return True

    def write(self) -> bool:
        """Send what is left of a line; tell whether all of it has gone.

        Raises
        ------
        OSError
            The other side has gone.
        """
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.connection.send(self._unsent) :]
        return not self._unsent

    def go_on(self) -> bool:
        """Make and send lines until there are no more, or one is not read; tell whether more may follow.

        Raises
        ------
        OSError
            The other side has gone.
        """
        assert self._lines is not None  # noqa: S101 - only who has asked is answered
        for line in self._lines:
            self._unsent = line
            self.give_up_at = time.monotonic() + ASK_SECONDS
            if not self.write():
                return True
        return False

    def close(self) -> None:
        """End it, and what makes the answer."""
        with suppress(OSError):
            self.connection.close()
        if self._lines is not None:
            self._lines.close()

    def _answer(self, content: bytes) -> Generator[bytes, None, None]:
        """Yield the lines of the answer, or the one of its refusal."""
        try:
            with boundary(MonitorError, "the request cannot be answered"):
                yield from self._made(content)
        except MonitorError as error:
            yield as_line({"error": str(error), "exit_code": error.exit_code})

    def _made(self, content: bytes) -> Generator[bytes, None, None]:
        request = _request(content)
        answer = self._answers.get(str(request.get("command")))
        if answer is None:
            raise MonitorError(f"unknown command; there is {', '.join(sorted(self._answers))}")
        lines = answer(request)
        try:
            for line in lines:
                yield as_line(line)
        finally:
            if isinstance(lines, Generator):
                lines.close()


def as_line(content: Mapping[str, object]) -> bytes:
    """One line of JSON; what is no character becomes a question mark."""
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
