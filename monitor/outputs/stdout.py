"""Standard output: one line for the start and one for the end of every event, as text or as JSON."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from monitor.config import LabelConfig
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import as_json, event_message, seconds_in_source
from monitor.system.threads import ThreadGroup
from monitor.types import EndReason, Event

log = logging.getLogger(__name__)


DAY_OF_EVENTS = 20_000
"""Events that may wait: one every 4 s for a day."""


class StdoutWriter(Output):
    """Prints every event as it starts and as it ends, in a thread of its own.

    A full disk or a dead terminal behind the stream costs lines, which are counted, and nothing else.

    Parameters
    ----------
    stream : text file
    line : callable
        Formats an event and its label: `TextLines` or `JsonLines`.
    on_gone : callable
        Called once, when the reader of the lines has gone.
    """

    def __init__(
        self, stream: TextIO, line: Callable[[Event, LabelConfig], str], on_gone: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._line = line
        self._on_gone = on_gone
        self._outbox: Outbox[tuple[Event, LabelConfig]] = Outbox(
            lambda waiting: self.deliver(*waiting), DAY_OF_EVENTS
        )
        self.lost = 0
        """Lines that could not be written."""
        self._gone = self._failing = self._torn = False

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread that prints, which the reader may hold up."""
        threads.start("terminal", self._outbox.run, may_stay=True)

    def on_event(self, event: Event, label: LabelConfig) -> None:
        """Print an event soon."""
        self._outbox.put((event, label))

    def close(self) -> None:
        """Print what waits, then end."""
        self._outbox.close()

    def deliver(self, event: Event, label: LabelConfig) -> None:
        """Print one event, and what its label was then."""
        if self._gone:
            self.lost += 1
            return
        try:
            self._write(self._line(event, label) + "\n")
        except BrokenPipeError:
            self._gone = True
            self.lost += 1
            log.warning("standard output: closed by its reader: events are no longer written to it")
            self._on_gone()
        except OSError as error:
            self.lost += 1
            if not self._failing:
                log.error("standard output: %s: events are not written to it", error.strerror or error)  # noqa: TRY400
            self._failing = True
        else:
            if self._failing:
                log.info("standard output: works again: %d events were not written", self.lost)
            self._failing = False

    def _write(self, line: str) -> None:
        """Write past the stream's buffer: what would stay in it after a failure fails again at the exit."""
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:
            self._stream.write(line)
            return
        rest = (b"\n" if self._torn else b"") + line.encode(self._stream.encoding or "utf-8", "replace")
        self._torn = False
        while rest:
            written = os.write(descriptor, rest)
            rest = rest[written:]
            self._torn = bool(rest)


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Events as the JSON payload of MQTT, with their place in it if the source is a recording."""

    node: str
    """Name of this monitor."""
    model: str
    """Name of the checkpoint."""
    recordings: frozenset[str]
    """Sources that are sound files."""
    rate: int
    """Samples per second."""

    def __call__(self, event: Event, label: LabelConfig) -> str:
        """Return an event as one line of JSON, without the line break."""
        payload = event_message(
            event, node=self.node, label=label, model=self.model, published_at=time.time()
        )
        if event.source in self.recordings:
            payload |= seconds_in_source(event, self.rate)
        return as_json(payload)


@dataclass(frozen=True, slots=True)
class TextLines:
    """Events as text: by the clock, or by their place in a recording."""

    recordings: frozenset[str]
    """Sources that are sound files."""
    rate: int
    """Samples per second."""

    def __call__(self, event: Event, label: LabelConfig) -> str:
        """Return an event as one line, without the line break."""
        if event.stop is None or event.ended_at is None:
            when = self._when(event, event.start, event.started_at)
            return f"{when}  start  {label.title}  ({event.score:.2f})"
        lasted = f"lasted {event.ended_at - event.started_at:.1f} s, peak {event.peak_score:.2f}"
        why = "" if event.reason == EndReason.QUIET else f", ended by {event.reason}"
        return f"{self._when(event, event.stop, event.ended_at)}  end    {label.title}  ({lasted}{why})"

    def _when(self, event: Event, index: int, at: float) -> str:
        if event.source not in self.recordings:
            return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {event.source}"
        minutes, seconds = divmod(index / self.rate, 60)
        return f"{int(minutes):02d}:{seconds:04.1f}"
