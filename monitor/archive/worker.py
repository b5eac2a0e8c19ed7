"""Worker: a process that scans the recordings it is sent, one or several at a time."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.archive.job import Job, Loaded
from monitor.archive.recording_list import Recording
from monitor.archive.results import Draft
from monitor.types import MonitorError

if TYPE_CHECKING:
    from monitor.archive.part_scan import Scanner


@dataclass(frozen=True, slots=True)
class Told:
    """How far a recording is scanned."""

    part: str
    seconds: float
    share: float
    """Of the recording; 0 if it is not known."""


@dataclass(frozen=True, slots=True)
class Broken:
    """An error that ends the scan."""

    error: Exception


Answer = Loaded | Told | Draft | Broken


def work(connection: Connection, job: Job, drafts: Path) -> None:
    """Load the checkpoint, then scan what comes; the body of a worker process.

    It ends at once, whatever it does, when the other end of the connection is closed.
    """
    from monitor.archive.scanners import load_scanner  # noqa: PLC0415 - only this process needs torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal
    answers = _Answers(connection)
    try:
        scanner, loaded = load_scanner(job)
    except MonitorError as error:
        answers.send(Broken(error))
        return
    answers.send(loaded)
    with ThreadPoolExecutor(loaded.files_at_once) as threads:
        while True:
            try:
                recording = connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # nobody wants what is unfinished
            threads.submit(_scan, recording, scanner, drafts, answers).add_done_callback(_end_at_a_bug)


class _Answers:
    """One end of a connection, for several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, answer: Answer) -> None:
        with self._lock:
            self._connection.send(answer)


def _end_at_a_bug(scanned: Future[None]) -> None:
    """End the process if anything went wrong that is no fault of a recording."""
    error = scanned.exception()
    if error is not None:
        traceback.print_exception(error)
        os._exit(1)


def _scan(recording: Recording, scanner: Scanner, drafts: Path, answers: _Answers) -> None:
    from monitor.archive.part_scan import scan_part  # noqa: PLC0415 - as above

    def tell(seconds: float, share: float) -> None:
        answers.send(Told(recording.part, seconds, share))

    try:
        draft = scan_part(recording, scanner, drafts, tell)
    except (MonitorError, OSError) as error:
        answers.send(Broken(error))
    else:
        answers.send(draft)
