"""Clip recorder: copies the audio of an event from the ring buffer when the event and its tail are over.

One thread, `ClipRecorder.run`, reads and writes; a clip that cannot be written, as on a full disk, is given
up there, with its outcome.  The methods that the analysis calls never wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.config import ClipsConfig, Config, LabelConfig
from monitor.model.mel_config import MelConfig
from monitor.outputs import Output
from monitor.outputs.clips import metadata, spectrogram_png
from monitor.outputs.clips.encoding import encode, playable
from monitor.outputs.clips.library import ClipLibrary
from monitor.outputs.clips.paths import SUFFIXES, clip_path, with_url
from monitor.outputs.clips.speech_filter import SpeechFilter
from monitor.outputs.store import Store
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import ClipOutcome, EndReason, Event, GateReason, Samples, Scores

log = logging.getLogger(__name__)

PENDING = 500
"""Events whose clips may wait at once; more of them have no clip."""

PATIENCE_SECONDS = 10.0
"""How long after its expected end a clip waits for audio, if its source goes offline."""

_POLL_SECONDS = 0.25
_SCAN_SECONDS = 3600.0


@dataclass(slots=True)
class _Pending:
    event: Event
    label: LabelConfig
    path: str
    start: int
    """Sample index at which the clip starts."""
    stop: int
    """Sample index of its end, at most."""
    give_up_at: float
    """Monotonic seconds."""


class ClipRecorder(Output):
    """Recorder of the clips of events; `run` is the body of its thread, the rest is thread-safe.

    ``buffers`` are by the name of the source; ``index`` receives the outcome of each clip.
    """

    def __init__(
        self,
        config: ClipsConfig,
        library: ClipLibrary,
        buffers: Mapping[str, RingBuffer],
        *,
        mel_config: MelConfig,
        model: str,
        index: Store | None = None,
    ) -> None:
        self.outcomes: Counter[ClipOutcome] = Counter()
        """Clips by their outcome."""
        self.trouble: str | None = None
        """Why no clip can be written now."""
        self.library = library
        self._config = config
        self._buffers = buffers
        self._mel_config = mel_config
        self._model = model
        self._index = index
        self._speech_filters = {source: SpeechFilter() for source in buffers}
        self._pending: dict[str, _Pending] = {}
        self._written: dict[str, str] = {}
        """Paths of the clips of active events, by the event."""
        self._changed = threading.Condition()
        self._closed = False
        self._log = TroubleLog(log)

    def start(self, threads: ThreadGroup) -> None:
        """Start the thread of `run`, which a disk may hold up."""
        if self._index is not None:
            self._index.await_clips()
        threads.start("clips", self.run, may_stay=True)

    def apply(self, config: Config) -> None:
        """Apply changed lengths and limits to clips that begin from now on."""
        self.library.apply(config)
        self._config = with_url(config)

    def record(self, event: Event, label: LabelConfig) -> Event:
        """Begin or end the clip of an event; return the event with the link to its clip, if it has one."""
        if event.stop is None:
            if label.clips:
                self.begin_clip(event, label)
            return event
        path, url = self.finish_clip(event), self._config.public_url
        if path is None:
            return event
        return replace(event, clip=path if url is None else f"{url.rstrip('/')}/{path}")

    @property
    def waiting(self) -> int:
        """Events whose clips have no outcome yet."""
        return len(self._pending)

    def begin_clip(self, event: Event, label: LabelConfig) -> None:
        """Begin the clip of an event that starts."""
        buffer = self._buffers[event.source]
        path = clip_path(event, SUFFIXES[self._config.format])
        with self._changed:
            full = len(self._pending) >= PENDING
            if not full:
                disarmed_until = self._speech_filters[event.source].disarmed_until
                start = max(disarmed_until, event.start - round(self._config.before_seconds * buffer.rate))
                stop = start + round(self._config.max_seconds * buffer.rate)
                give_up_at = time.monotonic() + self._config.max_seconds + PATIENCE_SECONDS
                self._pending[event.id] = _Pending(event, label, path, start, stop, give_up_at)
                self._changed.notify()
        if full:
            self._decide(event.id, None, ClipOutcome.MISSED)

    def finish_clip(self, event: Event) -> str | None:
        """End the clip of an event; return the path that it has or will have, None if no clip is expected."""
        with self._changed:
            pending = self._pending.get(event.id)
            if pending is None or event.stop is None:
                return self._written.pop(event.id, None)
            buffer = self._buffers[event.source]
            after_seconds = 0.0 if event.reason == EndReason.DISARMED else self._config.after_seconds
            tail = round(after_seconds * buffer.rate)
            pending.event = event
            pending.stop = min(pending.stop, event.stop + tail)
            pending.give_up_at = time.monotonic() + self._config.after_seconds + PATIENCE_SECONDS
            self._changed.notify()
            return None if self._has_speech(pending) or self.trouble is not None else pending.path

    def on_scores(self, scores: Scores) -> None:
        """Observe whether a window holds speech, and whether detection is off."""
        with self._changed:
            speech_filter = self._speech_filters[scores.source]
            if scores.gated == GateReason.DISARMED:  # no clip contains what follows
                for pending in self._pending.values():
                    if pending.event.source == scores.source:
                        pending.stop = min(pending.stop, speech_filter.judged_until)
            speech_filter.observe(scores)
            if any(
                each.event.source == scores.source and self._is_due(each) for each in self._pending.values()
            ):
                self._changed.notify()

    def close(self) -> None:
        """End soon: `run` writes the clips that wait, and returns."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Write clips until closed, and scan the directory now and then; then close the index."""
        try:
            self._scan()
            if self._index is not None:
                self._index.on_clips_found(list(self.library.with_events()))
            self._record_until_closed()
        finally:
            if self._index is not None:
                self._index.clips_done()

    def _record_until_closed(self) -> None:
        scan_at = time.monotonic() + _SCAN_SECONDS
        while True:
            if time.monotonic() >= scan_at:
                self._scan()
                scan_at = time.monotonic() + _SCAN_SECONDS
            with self._changed:
                if not self._closed:
                    self._changed.wait(_POLL_SECONDS if self._pending else scan_at - time.monotonic())
                closed = self._closed
            for pending, samples in self._read_due(all_of_them=closed):
                self._write(pending, samples)
            if closed and not self._pending:
                return

    def _scan(self) -> None:
        try:
            self.library.scan()
        except OSError as error:
            self._set_trouble(error.strerror or str(error))

    def _read_due(self, *, all_of_them: bool) -> list[tuple[_Pending, Samples]]:
        """Copy the audio of all clips that are due, before any of them is written."""
        with self._changed:
            due = [each for each in self._pending.values() if all_of_them or self._is_due(each)]
            for each in due:
                each.stop = min(each.stop, self._newest(each.event.source))
        return [(each, samples) for each in due if (samples := self._read(each)) is not None]

    def _is_due(self, pending: _Pending) -> bool:
        source = pending.event.source
        ended = self._buffers[source].closed and pending.event.stop is not None
        return ended or time.monotonic() >= pending.give_up_at or self._newest(source) >= pending.stop

    def _newest(self, source: str) -> int:
        """Return the sample index up to which audio may be recorded: none that was not checked for speech."""
        newest, judged = self._buffers[source].stop, self._speech_filters[source].judged_until
        return min(newest, judged) if self._config.speech_filter else newest

    def _has_speech(self, pending: _Pending) -> bool:
        speech_filter = self._speech_filters[pending.event.source]
        return self._config.speech_filter and speech_filter.has_speech(pending.start, pending.stop)

    def _read(self, pending: _Pending) -> Samples | None:
        """Return the samples of a clip; None if there is no clip."""
        event = pending.event
        with self._changed:
            has_speech = self._has_speech(pending)
        if has_speech:
            self._decide(event.id, None, ClipOutcome.SPEECH)
            return None
        buffer = self._buffers[event.source]
        why: object = "its audio was not scored"
        if pending.stop > event.start:
            try:
                return buffer.read(pending.start, pending.stop)
            except OverrunError as error:
                why = error
        log.warning("no clip of %s: %s", event.id, why)
        self._decide(event.id, None, ClipOutcome.MISSED)
        return None

    def _write(self, pending: _Pending, samples: Samples) -> None:
        event, rate = pending.event, self._buffers[pending.event.source].rate
        samples = playable(samples)
        gap = self._buffers[event.source].last_gap(pending.start, pending.stop)
        audio = {
            "format": self._config.format,
            "rate": rate,
            "start": pending.start,
            "stop": pending.stop,
            "duration_seconds": round(len(samples) / rate, 3),
            "before_onset_seconds": round((event.start - pending.start) / rate, 3),
            "gap": gap is not None,
            "speech_filter": self._config.speech_filter,
        }
        files = {
            ".png": spectrogram_png.spectrogram(samples, self._mel_config),
            SUFFIXES[self._config.format]: encode(samples, rate, self._config.format),
        }
        kept = replace(event, clip=pending.path, clip_outcome=ClipOutcome.KEPT)
        content = metadata.describe(kept, audio, pending.label, self._model)
        try:
            is_written = self.library.put(event, pending.path, files, content)
        except OSError as error:
            self._set_trouble(error.strerror or str(error))
            self._decide(event.id, None, ClipOutcome.DISK_ERROR)
            return
        if is_written:
            self._set_trouble(None)
            self._decide(event.id, pending.path, ClipOutcome.KEPT)
        else:
            floor = self._config.free_megabytes
            self._set_trouble(f"less than {floor} MB are free" if floor else "the disk is full")
            self._decide(event.id, None, ClipOutcome.DISK_FULL)

    def _decide(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        with self._changed:
            pending = self._pending.pop(event_id, None)
            if pending is not None and pending.event.stop is None and path is not None:
                self._written[event_id] = path
        self.outcomes[outcome] += 1
        if self._index is not None:
            self._index.on_clip_outcome(event_id, path, outcome)

    def _set_trouble(self, trouble: str | None) -> None:
        effect = "none can be written"
        self.trouble = self._log.change(self.trouble, trouble, "clips", effect=effect, level=logging.ERROR)
