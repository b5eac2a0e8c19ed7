"""A Unix socket in the state directory: one JSON line asks, one or more JSON lines answer.

Only the user of the monitor, and root, may open it.  The path of a Unix socket holds at most 107 bytes,
a state directory may have a longer one: both sides reach it through an open descriptor of the directory.
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
from monitor.types import NotRunningError, RefusedError

log = logging.getLogger(__name__)

FILE = "control.sock"

THREADS = 6
"""So many can ask at once; who comes next waits."""


class ControlSocket:
    """Answer those who ask on this machine; `run` is the body of each of `THREADS` threads.

    One of the threads waits for all connections at once, and goes to answer whoever has asked; then
    another one waits.  So whoever says nothing, or does not read, holds up nobody else.

    Parameters
    ----------
    state : Path
        The state directory.
    answers : mapping of str to callable
        By the ``command`` of a request.
    """

    def __init__(self, state: Path, answers: Mapping[str, Answer]) -> None:
        self._state = state
        self._answers = answers
        self._directory: int | None = None
        self._door: ControlConnections | None = None

    def open(self) -> bool:
        """Begin to listen; False, and logged, if that cannot be.

        The directory is locked as long as the process lives: where another monitor has it, that one keeps
        its socket.  What a killed one has left is replaced.
        """
        try:
            self._directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._door = ControlConnections(_listener(self._directory), self._answers)
        except BlockingIOError:
            log.warning("%s: another clap-monitor has it: this one cannot be asked", self._state)
        except OSError as error:
            log.warning("%s: no control socket: %s", self._state / FILE, error.strerror)
        if self._door is None:
            self._let_go()
        return self._door is not None

    def run(self) -> None:
        """Answer one request after another until closed."""
        while (door := self._door) is not None:
            door.run()
            if self._door is door:  # closed, and none in its place
                return

    def mend(self) -> None:
        """Listen anew where the state directory was removed or replaced, or the socket deleted."""
        old, door = self._directory, self._door
        if old is None or door is None or self._is_in_place(old):
            return
        directory = old
        try:
            if not _is_same(self._state, old):
                directory = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._directory, self._door = directory, ControlConnections(_listener(directory), self._answers)
        except OSError as error:
            if directory != old:
                os.close(directory)
            log.warning("%s: no control socket: %s", self._state / FILE, error.strerror)
            return
        door.close()
        if directory != old:
            os.close(old)

    def _is_in_place(self, directory: int) -> bool:
        try:
            return _is_same(self._state, directory) and (self._state / FILE).is_socket()
        except OSError:
            return False

    def close(self) -> None:
        """Take no more requests and break off those that go on; `run` returns."""
        if self._door is None or self._directory is None:
            return
        with suppress(OSError):
            os.unlink(FILE, dir_fd=self._directory)
        self._door.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


def ask(
    state: Path, request: Mapping[str, object], *, seconds: float | None = None
) -> Iterator[dict[str, Any]]:
    """Ask the monitor that runs with a state directory.

    Parameters
    ----------
    state : Path
    request : mapping
        With a ``command``.
    seconds : float or None
        How long to wait for each line of the answer; None for as long as it takes.

    Yields
    ------
    dict
        The lines of the answer; ``error`` and ``exit_code`` if it is a refusal.

    Raises
    ------
    NotRunningError
        No monitor runs with it, it is not ours to ask, or it does not answer.
    """
    try:
        with _connection(state) as connection:
            connection.settimeout(seconds)
            connection.sendall(as_line(request))
            with connection.makefile("rb") as lines:
                for line in lines:
                    yield json.loads(line)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise NotRunningError(f"{state}: no clap-monitor runs with this state directory") from error
    except PermissionError as error:
        raise NotRunningError(f"{state}: belongs to another user: ask as that one, or as root") from error
    except (OSError, ValueError) as error:
        raise NotRunningError(f"{state}: the clap-monitor that runs does not answer: {error}") from error


def ask_once(state: Path, request: Mapping[str, object], *, seconds: float = 60.0) -> dict[str, Any]:
    """Ask for an answer of one line.

    Raises
    ------
    NotRunningError
        As for `ask`.
    RefusedError
        What was asked for is refused.
    """
    answer = next(answers(state, request, seconds=seconds), None)
    if answer is None:
        raise NotRunningError(f"{state}: the clap-monitor that runs does not answer: it is ending")
    return answer


def answers(
    state: Path, request: Mapping[str, object], *, seconds: float | None = None
) -> Iterator[dict[str, Any]]:
    """Ask for an answer of many lines; as `ask`, but a refusal is raised.

    Raises
    ------
    NotRunningError
        As for `ask`.
    RefusedError
        What was asked for is refused.
    """
    for answer in ask(state, request, seconds=seconds):
        if "error" in answer:
            raise RefusedError(str(answer["error"]), int(answer["exit_code"]))
        yield answer


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
    """Bind beside, make it private, then put it in place: there is no moment in which others may connect."""
    draft = f".{FILE}.{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=directory)
        listener.bind(_address(directory, draft))
        os.chmod(draft, 0o600, dir_fd=directory)  # nobody can connect before `listen`
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
