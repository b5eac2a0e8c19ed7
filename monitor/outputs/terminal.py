"""Events -> lines on standard output: for people, or JSON for programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TextIO

from monitor.config import LabelConfig
from monitor.outputs.payload import as_json, event_payload, seconds_in_source
from monitor.types import Event


class Terminal:
    """Print every event as it starts and as it ends; `deliver` runs in its own thread.

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
        Called when whoever read the lines has gone.
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

    def deliver(self, event: Event, label: LabelConfig) -> None:
        """Print one event, and what its label was then; ends the run if nobody reads any more."""
        try:
            print(self._line(event, label), file=self._stream, flush=True)
        except BrokenPipeError:
            # What is left in the stream's buffer would raise again when the process exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            self._on_gone()

    def _json(self, event: Event, label: LabelConfig) -> str:
        payload = event_payload(
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
        lasted = f"lasted {event.ended_at - event.started_at:.1f} s, best {event.peak:.2f}"
        why = "" if event.reason == "quiet" else f", ended by {event.reason}"
        return f"{self._when(event, event.stop, event.ended_at)}  end    {label.title}  ({lasted}{why})"

    def _when(self, event: Event, index: int, at: float) -> str:
        if event.source not in self._recordings:
            return f"{time.strftime('%H:%M:%S', time.localtime(at))}  {event.source}"
        minutes, seconds = divmod(index / self._rate, 60)
        return f"{int(minutes):02d}:{seconds:04.1f}"
