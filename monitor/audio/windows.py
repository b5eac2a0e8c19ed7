"""Windows of every source: overlapping, at the live edge, never across a gap; late ones are left out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.types import Break, BreakReason, GateReason, Window

_LOOK_AGAIN_SECONDS = 0.5
"""How often a source without audio is checked for being offline."""

PATIENCE_SECONDS = 0.5
"""A reader that is less late than this, or than two hops, catches up; otherwise it jumps.  A block of a sound
card may hold several short hops, which is not lateness."""


@dataclass(slots=True)
class _Place:
    due: int
    """Index after the last sample of the next window."""
    broken_at: int = -1
    """Index of the last break that was reported."""
    ended: bool = False


class Windows:
    """Iterates over due windows and breaks: at most one of each source at a time, sometimes none.

    Windows of ``length`` samples end at ``length``, ``length + hop``, ...; after a gap the count
    restarts behind it, so no window holds audio from both sides.  A reader that falls behind
    jumps to the newest window (a monitor that is late is worse than one that leaves a window out);
    `SourceStatus.late` counts those left out.  Lossless buffers wait for their reader instead.

    Parameters
    ----------
    buffers : mapping of str to RingBuffer
        By source name; all share one condition.
    status : mapping of str to SourceStatus
        By source name; a source that has gone offline is broken at once, not when its audio returns.
    length : int
        Samples.
    hop : int or mapping of str to int
        Samples; by source name if they differ.
    stop : threading.Event
        Ends the iteration before the next window is taken.
    at_once : int, optional
        Most windows and breaks of one step: the first of many that are due together need not wait for the
        last.  The sources take turns.
    """

    def __init__(
        self,
        buffers: Mapping[str, RingBuffer],
        status: Mapping[str, SourceStatus],
        *,
        length: int,
        hop: int | Mapping[str, int],
        stop: threading.Event,
        at_once: int | None = None,
    ) -> None:
        self._buffers = buffers
        self._status = status
        self._length = length
        self._hops = dict.fromkeys(buffers, hop) if isinstance(hop, int) else hop
        self._stop = stop
        self._places = {name: _Place(due=length) for name in buffers}
        self._turns = deque(buffers)
        """Names of the sources, that whose turn it is first."""
        self._at_once = len(buffers) if at_once is None else at_once
        self._anything = next(iter(buffers.values())).due
        for buffer in buffers.values():
            buffer.wanted = length

    def __iter__(self) -> Iterator[Sequence[Window | Break]]:
        while not self._stop.is_set():
            due = self._take()
            if due:
                yield due
            elif all(place.ended for place in self._places.values()):
                return
            elif not self._wait():
                yield ()

    def _take(self) -> list[Window | Break]:
        """Return what is due, at most `_at_once`."""
        due: list[Window | Break] = []
        for _ in self._places:
            name = self._turns[0]
            self._turns.rotate(-1)
            step = self._next(name)
            if step is not None:
                due.append(step)
                if len(due) == self._at_once:
                    break
        return due

    def _wait(self) -> bool:
        """Wait until something is due; False after `_LOOK_AGAIN_SECONDS`."""
        with self._anything:
            return self._anything.wait_for(self._anything_due, timeout=_LOOK_AGAIN_SECONDS)

    def _anything_due(self) -> bool:
        return self._stop.is_set() or any(
            buffer.stop >= self._places[name].due or (buffer.closed and not self._places[name].ended)
            for name, buffer in self._buffers.items()
        )

    def _next(self, name: str) -> Window | Break | None:
        """Return the window or break of this source that is due, if any."""
        buffer, place, status = self._buffers[name], self._places[name], self._status[name]
        newest, closed = buffer.stop, buffer.closed
        if newest < place.due:
            if closed and not place.ended:
                place.ended = True
                return self._break(name, newest, BreakReason.END)
            if status.offline and place.broken_at < newest:
                return self._break(name, newest, BreakReason.GAP)
            return None
        if not buffer.lossless:
            self._catch_up(place, status, newest)
        start = place.due - self._length
        gap = buffer.last_gap(start, place.due)
        if gap is not None:
            status.gate(GateReason.GAP)
            self._expect(name, gap + self._length)
            return self._break(name, gap, BreakReason.GAP) if place.broken_at < gap else None
        try:
            window = Window(name, start, buffer.read(start, place.due, exact=True), buffer.time_of(place.due))
        except OverrunError:  # overwritten meanwhile: the next call catches up
            return None
        self._expect(name, place.due + self._hops[name])
        if buffer.lossless:
            buffer.release(place.due - self._length)
        return window

    def _catch_up(self, place: _Place, status: SourceStatus, newest: int) -> None:
        behind, hop = newest - place.due, self._hops[status.name]
        if behind >= max(2 * hop, PATIENCE_SECONDS * self._buffers[status.name].rate):
            late = behind // hop
            status.late += late
            self._expect(status.name, place.due + late * hop)

    def _expect(self, name: str, due: int) -> None:
        self._places[name].due = self._buffers[name].wanted = due

    def _break(self, name: str, index: int, reason: BreakReason) -> Break:
        self._places[name].broken_at = index
        buffer = self._buffers[name]
        return Break(name, index, buffer.time_of(index) if buffer.stop else 0.0, reason)
