"""Events -> clips: what the ring holds of an event is cut when the event and its tail are over.

One thread, `Clips.run`, does all of it.  The methods that the analysis calls only leave a note.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Protocol

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.config import ClipsConfig, Config, LabelConfig
from monitor.model.mel_config import MelConfig
from monitor.outputs import Output
from monitor.outputs.clips import metadata, spectrogram_png
from monitor.outputs.clips.encoding import encode, playable
from monitor.outputs.clips.library import ClipLibrary
from monitor.outputs.clips.metadata import Origin
from monitor.outputs.clips.paths import SUFFIXES, clip_path, with_url
from monitor.outputs.clips.speech_filter import SpeechFilter
from monitor.system.threads import ThreadGroup
from monitor.system.trouble_log import TroubleLog
from monitor.types import ClipOutcome, EndReason, Event, GateReason, Samples, Scores

log = logging.getLogger(__name__)

PENDING = 500
"""Events whose clips may wait at once; of more than these there is none."""

PATIENCE_SECONDS = 10.0
"""How much longer than it should take the tail of an event is waited for, if its source falls silent."""

_PACKAGES = ("clap-monitor", "numpy", "soundfile", "torch", "transformers")
"""Named beside each clip with their versions."""

_LOOK_SECONDS = 0.25
_SCAN_SECONDS = 3600.0


class ClipIndex(Protocol):
    """Where the outcome of each clip is kept: `monitor.outputs.store.Store`."""

    def await_clips(self) -> None:
        """Stay open until `clips_done`."""

    def on_clip_outcome(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        """Receive the outcome of a clip, with its path if there is one."""

    def on_clips_found(self, found: Sequence[tuple[str, str, Event | None]]) -> None:
        """Receive all clips there are at the start: path, identifier of the event, and the event."""

    def clips_done(self) -> None:
        """No more outcomes come."""


@dataclass(slots=True)
class _Pending:
    event: Event
    origin: Origin
    path: str
    start: int
    """Sample index of the beginning of the clip."""
    stop: int
    """Of its end, at most."""
    give_up_at: float
    """Moment of the monotonic clock."""


class ClipRecorder(Output):
    """Cut and write the clips of events; `run` is the body of its thread, all else may be called from any.

    Parameters
    ----------
    config : ClipsConfig
    library : ClipLibrary
        Where clips are put.
    buffers : mapping of str to RingBuffer
        By source name.
    mel_config : MelConfig
        What the model calls a spectrogram.
    model : str
        Name of the checkpoint.
    index : ClipIndex or None
        Receives the outcome of each clip.
    """

    def __init__(
        self,
        config: ClipsConfig,
        library: ClipLibrary,
        buffers: Mapping[str, RingBuffer],
        *,
        mel_config: MelConfig,
        model: str = "",
        index: ClipIndex | None = None,
    ) -> None:
        self.outcomes: Counter[ClipOutcome] = Counter()
        """What became of clips."""
        self.trouble: str | None = None
        """Why none can be written at the moment."""
        self.library = library
        self._config = config
        self._buffers = buffers
        self._mel_config = mel_config
        self._model = model
        self._index = index
        self._versions = {name: version(name) for name in _PACKAGES}
        self._guards = {source: SpeechFilter() for source in buffers}
        self._pending: dict[str, _Pending] = {}
        self._written: dict[str, str] = {}
        """Clips of events that still last, by the event."""
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
                self.begin_clip(event, Origin(label, self._model, self._versions))
            return event
        path, url = self.finish_clip(event), self._config.public_url
        if path is None:
            return event
        return replace(event, clip=path if url is None else f"{url.rstrip('/')}/{path}")

    @property
    def waiting(self) -> int:
        """Events whose clips are not decided."""
        return len(self._pending)

    def begin_clip(self, event: Event, origin: Origin) -> None:
        """Begin the clip of an event that starts; ``origin`` goes into its metadata."""
        buffer = self._buffers[event.source]
        with self._changed:
            disarmed_until = self._guards[event.source].disarmed_until
        start = max(disarmed_until, event.start - round(self._config.before_seconds * buffer.rate))
        stop = start + round(self._config.max_seconds * buffer.rate)
        patience = self._config.max_seconds + PATIENCE_SECONDS
        path = clip_path(event, SUFFIXES[self._config.format])
        with self._changed:
            full = len(self._pending) >= PENDING
            if not full:
                give_up_at = time.monotonic() + patience
                self._pending[event.id] = _Pending(event, origin, path, start, stop, give_up_at)
                self._changed.notify()
        if full:
            self._decide(event.id, None, ClipOutcome.MISSED)

    def finish_clip(self, event: Event) -> str | None:
        """Note that an event is over; return the path its clip has, or will have in a moment.

        None if there will be none, as far as is known.
        """
        with self._changed:
            pending = self._pending.get(event.id)
            if pending is None or event.stop is None:
                return self._written.pop(event.id, None)
            buffer = self._buffers[event.source]
            tail = (
                0 if event.reason == EndReason.DISARMED else round(self._config.after_seconds * buffer.rate)
            )
            pending.event = event
            pending.stop = min(pending.stop, event.stop + tail)
            pending.give_up_at = time.monotonic() + self._config.after_seconds + PATIENCE_SECONDS
            self._changed.notify()
            silenced = self._config.speech_filter and self._guards[event.source].has_speech(
                pending.start, pending.stop
            )
            return None if silenced or self.trouble is not None else pending.path

    def on_scores(self, scores: Scores) -> None:
        """Take the scores of a window: whether people were speaking, and whether anybody was to listen."""
        with self._changed:
            guard = self._guards[scores.source]
            if scores.gated == GateReason.DISARMED:  # of what follows nothing is kept, in no clip
                for pending in self._pending.values():
                    if pending.event.source == scores.source:
                        pending.stop = min(pending.stop, guard.judged_until)
            guard.observe(scores)
            if self._pending:
                self._changed.notify()

    def close(self) -> None:
        """No more will come; `run` cuts what is there and returns."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Cut and write until closed; then the index knows the outcome of every clip."""
        try:
            self._run()
        finally:
            if self._index is not None:
                self._index.clips_done()

    def _run(self) -> None:
        """Cut and write until closed; now and then look whether all clips are still there."""
        self._scan()
        if self._index is not None:
            self._index.on_clips_found(list(self.library.with_events()))
        scan_at = time.monotonic() + _SCAN_SECONDS
        while True:
            if time.monotonic() >= scan_at:
                self._scan()
                scan_at = time.monotonic() + _SCAN_SECONDS
            with self._changed:
                if not self._closed:
                    self._changed.wait(_LOOK_SECONDS if self._pending else scan_at - time.monotonic())
                closed = self._closed
            for pending, samples in self._cut(all_of_them=closed):
                self._keep(pending, samples)
            if closed and not self._pending:
                return

    def _scan(self) -> None:
        try:
            self.library.scan()
        except OSError as error:
            self._set_trouble(error.strerror or str(error))

    def _cut(self, *, all_of_them: bool) -> list[tuple[_Pending, Samples]]:
        """Copy what is due out of the rings, before anything is written."""
        with self._changed:
            due = [each for each in self._pending.values() if all_of_them or self._is_due(each)]
            for each in due:
                each.stop = min(each.stop, self._newest(each.event.source))
        cut = []
        for each in due:
            samples = self._read(each)
            if samples is not None:
                cut.append((each, samples))
        return cut

    def _is_due(self, pending: _Pending) -> bool:
        source = pending.event.source
        ended = self._buffers[source].closed and pending.event.stop is not None
        late = time.monotonic() >= pending.give_up_at
        return ended or late or self._newest(source) >= pending.stop

    def _newest(self, source: str) -> int:
        """Up to where audio can be kept: what nobody has listened to for speech cannot."""
        newest = self._buffers[source].stop
        return min(newest, self._guards[source].judged_until) if self._config.speech_filter else newest

    def _read(self, pending: _Pending) -> Samples | None:
        """Return the samples of a clip; None if it is decided that there is none."""
        event = pending.event
        with self._changed:
            silenced = self._config.speech_filter and self._guards[event.source].has_speech(
                pending.start, pending.stop
            )
        if silenced:
            self._decide(event.id, None, ClipOutcome.SPEECH)
            return None
        buffer = self._buffers[event.source]
        why: object = "nothing of it was heard"
        if pending.stop > event.start:
            try:
                return buffer.read(pending.start, pending.stop)
            except OverrunError as error:
                why = error
        log.warning("no clip of %s: %s", event.id, why)
        self._decide(event.id, None, ClipOutcome.MISSED)
        return None

    def _keep(self, pending: _Pending, samples: Samples) -> None:
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
        content = metadata.describe(
            replace(event, clip=pending.path, clip_outcome=ClipOutcome.KEPT), audio, pending.origin
        )
        try:
            there_is_room = self.library.put(event, pending.path, files, content)
        except OSError as error:
            self._set_trouble(error.strerror or str(error))
            self._decide(event.id, None, ClipOutcome.DISK_ERROR)
            return
        floor = self._config.free_megabytes
        why = f"less than {floor} MB are free" if floor else "the disk is full"
        self._set_trouble(None if there_is_room else why)
        outcome = ClipOutcome.KEPT if there_is_room else ClipOutcome.DISK_FULL
        self._decide(event.id, pending.path if there_is_room else None, outcome)

    def _decide(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        with self._changed:
            pending = self._pending.pop(event_id, None)
            if pending is not None and pending.event.stop is None and path is not None:
                self._written[event_id] = path
        self.outcomes[outcome] += 1
        if self._index is not None:
            self._index.on_clip_outcome(event_id, path, outcome)

    def _set_trouble(self, trouble: str | None) -> None:
        self.trouble = self._log.change(
            self.trouble, trouble, "clips", effect="none can be written", level=logging.ERROR
        )
