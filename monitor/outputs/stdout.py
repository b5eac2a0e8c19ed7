"""Events -> lines on standard output: for people, or JSON for programs."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable
from typing import TextIO

from monitor.config import LabelConfig
from monitor.outputs.payload import as_json, event_message, seconds_in_source
from monitor.types import EndReason, Event

log = logging.getLogger(__name__)


class StdoutWriter:
    """Print every event as it starts and as it ends; `deliver` runs in its own thread.

    A full disk or a dead terminal behind the stream costs lines, which are counted, and nothing else.

    Parameters
    ----------
    stream : text file
        Where to.
    recordings : collection of str
        Sources that are sound files: their events are shown by position, not by the clock.
    rate : int
        Samples per second.
    node, model : str
        For the JSON payload.
    as_json : bool
        The payload of MQTT, with ``onset_seconds`` and ``offset_seconds`` for sound files.
    on_gone : callable
        Called once, when whoever read the lines has gone.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        recordings: frozenset[str],
        rate: int,
        node: str,
        model: str,
        as_json: bool,
        on_gone: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._recordings = recordings
        self._rate = rate
        self._node = node
        self._model = model
        self._line = self._json if as_json else self._text
        self._on_gone = on_gone
        self.lost = 0
        """Lines that could not be written."""
        self._gone = self._failing = self._torn = False

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
            log.warning("standard output: nobody reads it any more: events are no longer written to it")
            self._on_gone()
        except OSError as error:
            self.lost += 1
            if not self._failing:
                log.error("standard output: %s: events are missing there", error.strerror or error)  # noqa: TRY400
            self._failing = True
        else:
            if self._failing:
                log.info("standard output: can be written again: %d events are missing", self.lost)
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

    def _json(self, event: Event, label: LabelConfig) -> str:
        payload = event_message(
            event,
            node=self._node,
            label=label,
            model=self._model,
            published_at=time.time(),
        )
        if event.source in self._recordings:
            payload |= seconds_in_source(event, self._rate)
        return as_json(payload)

    def _text(self, event: Event, label: LabelConfig) -> str:
        if event.stop is None or event.ended_at is None:
            when = self._when(event, event.start, event.started_at)
            return f"{when}  start  {label.title}  ({event.score:.2f})"
        lasted = f"lasted {event.ended_at - event.started_at:.1f} s, best {event.peak_score:.2f}"
        why = "" if event.reason == EndReason.QUIET else f", ended by {event.reason}"
        return f"{self._when(event, event.stop, event.ended_at)}  end    {label.title}  ({lasted}{why})"

    def _when(self, event: Event, index: int, at: float) -> str:
        if event.source not in self._recordings:
            return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {event.source}"
        minutes, seconds = divmod(index / self._rate, 60)
        return f"{int(minutes):02d}:{seconds:04.1f}"
