"""Control socket: a Unix socket in the state directory, for `clap-monitor status`, `watch` and `reload`.

Only the monitor's user and root may open it.  The path of a Unix socket holds at most 107 bytes, and the
path of a state directory may be longer, so both sides reach the socket through a descriptor of the directory.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monitor.daemon.control_connections import ControlConnections
from monitor.daemon.control_protocol import ASK_SECONDS, Answer, as_line
from monitor.types import ExitCode, MonitorError

log = logging.getLogger(__name__)

FILE = "control.sock"

THREADS = 6
"""Requests that are answered at once; further ones wait."""


class NotRunningError(MonitorError):
    """No monitor is running, or it does not answer."""

    exit_code = ExitCode.UNREACHABLE


class RefusedError(MonitorError):
    """The running monitor refuses a request, with an exit code of its own."""

    def __init__(self, why: str, exit_code: int) -> None:
        super().__init__(why)
        self.exit_code = exit_code


class ControlSocket:
    """Answers requests of this machine; `run` is the body of each of `THREADS` threads.

    One of the threads waits for all connections and then answers the first request, while another thread
    takes over the waiting.  A client that sends nothing, or does not read, delays no other.  ``answers`` are
    by the ``command`` of a request.
    """

    def __init__(self, state: Path, answers: Mapping[str, Answer]) -> None:
        self._state = state
        self._answers = answers
        self._directory: int | None = None
        self._connections: ControlConnections | None = None

    def open(self) -> bool:
        """Bind the socket; if that fails, log the reason and return False.

        The directory stays locked while the process lives, so a second monitor leaves the first one its
        socket.  The socket of a process that was killed is replaced.
        """
        try:
            self._directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._connections = ControlConnections(_listener(self._directory), self._answers)
        except BlockingIOError:
            log.warning(
                "%s: locked by another clap-monitor; `status`, `watch` and `reload` do not reach this one",
                self._state,
            )
        except OSError as error:
            log.warning("%s: no control socket: %s", self._state / FILE, error.strerror)
        if self._connections is None:
            self._release_directory()
        return self._connections is not None

    def run(self) -> None:
        """Answer one request after another until closed."""
        while (connections := self._connections) is not None:
            connections.run()
            if self._connections is connections:  # closed, and not bound again
                return

    def recheck(self) -> None:
        """Bind the socket again if it, or the state directory, was removed or replaced."""
        old, connections = self._directory, self._connections
        if old is None or connections is None or self._is_in_place(old):
            return
        directory = old
        try:
            if not _is_same(self._state, old):
                directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._directory, self._connections = (
                directory,
                ControlConnections(_listener(directory), self._answers),
            )
        except OSError as error:
            if directory != old:
                os.close(directory)
            log.warning("%s: no control socket: %s", self._state / FILE, error.strerror)
            return
        connections.close()
        if directory != old:
            os.close(old)

    def _is_in_place(self, directory: int) -> bool:
        try:
            return _is_same(self._state, directory) and (self._state / FILE).is_socket()
        except OSError:
            return False

    def close(self) -> None:
        """Accept no more requests and end all answers; `run` returns."""
        if self._connections is None or self._directory is None:
            return
        with suppress(OSError):
            os.unlink(FILE, dir_fd=self._directory)
        self._connections.close()
        self._release_directory()

    def _release_directory(self) -> None:
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


def ask(
    state: Path, request: Mapping[str, object], *, seconds: float | None = None
) -> Iterator[dict[str, Any]]:
    """Send a request to the monitor that runs with a state directory, and yield the lines of its answer.

    Waits for each line for so many ``seconds``; None waits without end.

    Raises
    ------
    NotRunningError
        No monitor runs with it, it belongs to another user, or it does not answer.
    RefusedError
        The monitor refuses the request.
    """
    try:
        with _connection(state) as connection:
            connection.settimeout(seconds)
            connection.sendall(as_line(request))
            with connection.makefile("rb") as lines:
                for line in map(json.loads, lines):
                    if "error" in line:
                        raise RefusedError(str(line["error"]), int(line["exit_code"]))
                    yield line
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NotRunningError(f"{state}: no clap-monitor runs with this state directory") from error
    except PermissionError as error:
        raise NotRunningError(
            f"{state}: belongs to another user; run this command as that user or as root"
        ) from error
    except (OSError, ValueError) as error:
        raise NotRunningError(f"{state}: the running clap-monitor does not answer: {error}") from error


def ask_once(state: Path, request: Mapping[str, object]) -> dict[str, Any]:
    """Return an answer of one line, within a minute; raises as `ask` does."""
    answer = next(ask(state, request, seconds=60.0), None)
    if answer is None:
        raise NotRunningError(f"{state}: the running clap-monitor does not answer: it is shutting down")
    return answer


@contextmanager
def _connection(state: Path) -> Iterator[socket.socket]:
    directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_SECONDS)
            connection.connect(_address(directory, FILE))
            yield connection
    finally:
        os.close(directory)


def _listener(directory: int) -> socket.socket:
    """Bind under another name, restrict the mode, then rename: no other user can ever connect."""
    draft = f".{FILE}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
        listener.bind(_address(directory, draft))
        os.chmod(draft, 0o600, dir_fd=directory)  # no client can connect before `listen`
        listener.listen()
        os.replace(draft, FILE, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        listener.close()
        raise
    return listener


def _is_same(path: Path, directory: int) -> bool:
    there, opened = path.stat(), os.fstat(directory)
    return (there.st_dev, there.st_ino) == (opened.st_dev, opened.st_ino)


def _address(directory: int, name: str) -> str:
    return f"/proc/self/fd/{directory}/{name}"
