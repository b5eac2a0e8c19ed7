"""Standard output: one line for the start and one for the end of every event, as text or as JSON."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from monitor.config import LabelConfig
from monitor.outputs import Output
from monitor.outputs.outbox import Outbox
from monitor.outputs.payload import as_json, event_message, seconds_in_source
from monitor.system.clock_sync import read_clock_sync
from monitor.system.threads import ThreadGroup
from monitor.types import EndReason, Event

log = logging.getLogger(__name__)


DAY_OF_EVENTS = 20_000
"""Events that may wait: one every 4 s for a day."""


class StdoutWriter(Output):
    """Prints every event as it starts and as it ends, in a thread of its own.

    A full disk or a dead terminal behind the stream costs lines, which are counted, and nothing else.
    ``line`` formats an event and its label: `text_line` or `json_line`.  ``on_gone`` is called once, when the
    reader of the lines has gone.
    """

    def __init__(
        self, stream: TextIO, line: Callable[[Event, LabelConfig], str], on_gone: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._line = line
        self._on_gone = on_gone
        self._outbox = Outbox[tuple[Event, LabelConfig]](lambda pair: self.deliver(*pair), DAY_OF_EVENTS)
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


def json_line(event: Event, label: LabelConfig, *, node: str, model: str, rates: Mapping[str, int]) -> str:
    """Return an event as the JSON payload of MQTT, without the line break.

    ``node`` and ``model`` are the names of this monitor and of the checkpoint.  ``rates`` are the samples per
    second of the sources that are sound files: an event of these has its place in the recording.
    """
    now, clock = time.time(), read_clock_sync()
    payload = event_message(event, node=node, label=label, model=model, published_at=now, clock=clock)
    if event.source in rates:
        payload |= seconds_in_source(event, rates[event.source])
    return as_json(payload)


def text_line(event: Event, label: LabelConfig, *, rates: Mapping[str, int]) -> str:
    """Return an event as text, by the clock or by its place in a recording; ``rates`` as for `json_line`."""
    if event.stop is None or event.ended_at is None:
        when = _when(event, event.start, event.started_at, rates)
        return f"{when}  start  {label.title}  ({event.score:.2f})"
    when = _when(event, event.stop, event.ended_at, rates)
    lasted = f"lasted {event.ended_at - event.started_at:.1f} s, peak {event.peak_score:.2f}"
    why = "" if event.reason == EndReason.QUIET else f", ended by {event.reason}"
    return f"{when}  end    {label.title}  ({lasted}{why})"


def _when(event: Event, index: int, at: float, rates: Mapping[str, int]) -> str:
    if event.source not in rates:
        return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {event.source}"
    minutes, seconds = divmod(index / rates[event.source], 60)
    return f"{int(minutes):02d}:{seconds:04.1f}"
