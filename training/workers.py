"""Processes that share a step's work."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing import Process


def run(workers: Sequence[Process]) -> None:
    """Start all and wait for them, see `finish`."""
    for worker in workers:
        worker.start()
    finish(workers)


def finish(workers: Sequence[Process]) -> None:
    """Wait for processes that were started; raise `RuntimeError` if one failed."""
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise RuntimeError(f"a part failed with exit code {worker.exitcode}")
