"""Local engine: a process for each core, or one for a GPU; if one dies, only its recording is lost."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from monitor.archive.job import Job, Loaded
from monitor.archive.recording_list import Recording
from monitor.archive.report_row import failed_part
from monitor.archive.results import Draft
from monitor.archive.worker import Broken, Told, work
from monitor.types import MonitorError, OutputError

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would copy the threads of a library in any state


class WorkerError(MonitorError):
    """A process of a scan ended before it had loaded the checkpoint."""


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    loaded: Loaded | None = None
    recordings: dict[str, Recording] = field(default_factory=dict)
    """Those it has, by their part."""
    has_suspect: bool = False
    """It has one recording with which a process may have died, and takes no other."""

    def room(self, share: int) -> bool:
        """Return whether it can take another recording, of this many at most."""
        if self.loaded is None or self.has_suspect:
            return False
        return len(self.recordings) < min(self.loaded.files_at_once, share)


class LocalEngine:
    """Worker processes; close it, at the latest by the end of its context.

    Parameters
    ----------
    job : Job
    drafts : Path
        Folder for files that are not whole yet.
    processes : int
        Most processes, if the checkpoint runs on the processor.
    """

    def __init__(self, job: Job, drafts: Path, processes: int) -> None:
        self._job, self._drafts, self._processes = job, drafts, processes
        self._suspects: deque[Recording] = deque()
        self._workers: list[_Worker] = [self._start()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()

    def load(self) -> Loaded:
        """Return what the first process has loaded, once it has.

        Raises
        ------
        MonitorError
            The checkpoint cannot be used.
        """
        worker = self._workers[0]
        while worker.loaded is None:
            self._answer(worker)
        return worker.loaded

    def scan(self, recordings: Sequence[Recording]) -> Iterator[Draft | Told]:
        """Scan recordings; yield what is done, and how far the others are."""
        loaded = self.load()
        waiting = deque(recordings)
        most = self._processes if loaded.on_processor else 1
        while len(self._workers) < min(most, len(waiting)):
            self._workers.append(self._start())
        left = len(recordings)
        share = -(-left // len(self._workers))  # so that each process has some, if they are few
        while left:
            self._hand_out(waiting, share)
            ready = wait([worker.connection for worker in self._workers])
            for worker in [each for each in self._workers if each.connection in ready]:
                for answer in self._answer(worker):
                    left -= isinstance(answer, Draft)
                    yield answer

    def _start(self) -> _Worker:
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=work, args=(theirs, self._job, self._drafts), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _hand_out(self, waiting: deque[Recording], share: int) -> None:
        """Send recordings to whoever has the fewest; a suspect to one that has none."""
        for worker in self._workers:
            if self._suspects and worker.loaded is not None and not worker.recordings:
                worker.has_suspect = True
                self._send(worker, self._suspects.popleft())
        while waiting and (free := [each for each in self._workers if each.room(share)]):
            self._send(min(free, key=lambda each: len(each.recordings)), waiting.popleft())

    @staticmethod
    def _send(worker: _Worker, recording: Recording) -> None:
        worker.recordings[recording.part] = recording
        try:
            worker.connection.send(recording)
        except OSError:
            return  # it has died, which its end of the connection says soon

    def _answer(self, worker: _Worker) -> list[Draft | Told]:
        """Return what a worker has to say, which may be that it died."""
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        if isinstance(answer, Broken):
            if isinstance(answer.error, OSError):
                raise OutputError(f"{self._drafts}: {answer.error.strerror}") from answer.error
            raise answer.error
        if isinstance(answer, Loaded):
            worker.loaded = answer
            return []
        if isinstance(answer, Draft):
            worker.recordings.pop(answer.part, None)
            worker.has_suspect = worker.has_suspect and bool(worker.recordings)
        return [answer]

    def _bury(self, worker: _Worker) -> list[Draft | Told]:
        """Replace a process that died; report what it was reading, or have each of several read alone."""
        worker.process.join()
        worker.connection.close()
        code = worker.process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if worker.loaded is None or code >= 0:
            raise WorkerError(f"a process of the scan ended with {how}; its output is above")
        self._workers[self._workers.index(worker)] = self._start()
        reason = f"the process that read it was ended by {how}"
        origin = worker.loaded.origin
        if len(worker.recordings) > 1:
            self._suspects.extend(worker.recordings.values())
            return []
        return [failed_part(each, reason, origin, self._drafts) for each in worker.recordings.values()]
