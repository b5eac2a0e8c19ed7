"""Progress and summary of `scan`, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.archive.results import Draft
from monitor.archive.worker import Told
from monitor.cli.logs import say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SHOWN = 5
"""Recordings whose fault is shown while the scan runs; all are in the report."""


@dataclass(slots=True)
class ScanProgress:
    """What is done so far; a bar if standard error is a terminal."""

    sizes: Mapping[str, int]
    """Bytes of each part that is to be done."""
    bar: Progress | None = None
    task: TaskID | None = None
    begin: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    """Of audio in what is done."""
    events: int = 0
    files: int = 0
    faulty: int = 0
    """Recordings with something wrong."""
    unread: int = 0
    """Recordings that could not be read at all."""
    under_way: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Seconds of audio, and share, of the recordings that are being read."""
    bytes_done: int = 0

    def show(self, at: Draft | Told) -> None:
        """Take in what is done, or how far a recording is."""
        if isinstance(at, Told):
            self.under_way[at.part] = at.seconds, at.share
        else:
            self.under_way.pop(at.part, None)
            self.seconds, self.events, self.files = (
                self.seconds + at.seconds,
                self.events + at.events,
                self.files + 1,
            )
            self.bytes_done += self.sizes[at.part]
            self._fault(at)
        if self.bar is not None and self.task is not None:
            part = sum(self.sizes[name] * share for name, (_, share) in self.under_way.items())
            self.bar.update(self.task, completed=self.bytes_done + part, rate=self.rate())

    def _fault(self, draft: Draft) -> None:
        if draft.reason is None:
            return
        self.faulty, self.unread = self.faulty + 1, self.unread + draft.failed
        if self.faulty <= _SHOWN:
            say(f"{draft.file}: {draft.reason}")

    def rate(self) -> str:
        """Return hours of audio an hour."""
        heard = self.seconds + sum(seconds for seconds, _ in self.under_way.values())
        return f"{heard / max(1e-3, time.monotonic() - self.begin):.0f}"

    def summary(self) -> str:
        """Return what was done in one line."""
        faulty = f", {self.faulty} with something wrong (see the report)" if self.faulty else ""
        return (
            f"{self.files} recordings{faulty}, {self.seconds / 3600:.2f} h of audio, {self.events} events in "
            f"{time.monotonic() - self.begin:.0f} s: {self.rate()} hours of audio an hour"
        )


@contextmanager
def scan_progress(sizes: Mapping[str, int]) -> Iterator[ScanProgress]:
    """Show a bar with the rate and the time left until the end of the context."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield ScanProgress(sizes)
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]} hours of audio an hour, left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("scan", total=max(1, sum(sizes.values())), rate="0")
        yield ScanProgress(sizes, bar, task)
