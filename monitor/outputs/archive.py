"""What is kept of what happens: the store and the clips, and what they tell each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from monitor.audio.ring_buffer import RingBuffer
from monitor.config import ClipsConfig, LabelConfig, StoreConfig
from monitor.model.mel_config import MelConfig
from monitor.outputs.clips import ClipLibrary, ClipRecorder
from monitor.outputs.clips.metadata import Origin
from monitor.outputs.store import FILE, Store
from monitor.system.threads import ThreadGroup
from monitor.system.wall_clock import WallClock
from monitor.types import ClipOutcome, Event, NearMiss, Scores

log = logging.getLogger(__name__)

_PACKAGES = ("clap-monitor", "numpy", "soundfile", "torch", "transformers")


class Archive:
    """Hand on to the store and to the clips, if they are wanted; the methods are called by the analysis.

    Parameters
    ----------
    store, clips : StoreConfig, ClipsConfig
    state, recordings : Path
        Directories.
    buffers : mapping of str to RingBuffer
        By source name.
    mel_config : MelConfig
    model : str
        Name of the checkpoint.
    """

    def __init__(
        self,
        store: StoreConfig,
        clips: ClipsConfig,
        *,
        state: Path,
        recordings: Path,
        buffers: Mapping[str, RingBuffer],
        mel_config: MelConfig,
        model: str,
    ) -> None:
        self.clock = WallClock(state)
        """Judges whether things may be deleted for their age."""
        self.library = ClipLibrary(recordings, clips, on_deleted=self._deleted, clock=self.clock)
        """The clips that are there, also if no new ones are wanted."""
        self.store = None
        if store.enabled:
            self.store = Store(
                state / FILE, store, rate=mel_config.rate, clock=self.clock, remove_clip=self.library.delete
            )
        self.clips = None
        if clips.enabled:
            self.clips = ClipRecorder(
                clips,
                self.library,
                buffers,
                mel_config=mel_config,
                on_decided=self._decided,
                on_found=self._found,
            )
        self._recordings = recordings
        self._url = clips.public_url
        self._model = model
        self._versions = {name: version(name) for name in _PACKAGES}

    def watch(self, labels: Sequence[LabelConfig], votes: Mapping[str, tuple[int, int]]) -> None:
        """Take the labels, and how many windows must agree among how many; whenever they change."""
        if self.store is not None:
            self.store.apply_labels(labels, votes)

    def limit(self, clips: ClipsConfig) -> None:
        """Cut and keep clips by other settings from now on; whether, how and without speech stays."""
        self.library.apply(clips)
        if self.clips is not None:
            self.clips.apply(clips)
        self._url = clips.public_url

    def start(self, threads: ThreadGroup) -> None:
        """Begin to write."""
        if self.store is not None:
            threads.start("store", self.store.run, may_stay=True)
        if self.clips is not None:
            threads.start("clips", self._run_clips, may_stay=True)
        elif self._recordings.is_dir():
            threads.start("clips", self._tidy, may_stay=True)

    def event(self, event: Event, label: LabelConfig) -> Event:
        """Keep the start or the end of an event of a label; return it with the link to its clip."""
        path = None if self.clips is None else self._clip(self.clips, event, label)
        if self.store is not None:
            self.store.on_event(event)
        if path is None:
            return event
        return replace(event, clip=path if self._url is None else f"{self._url.rstrip('/')}/{path}")

    def scores(self, scores: Scores) -> None:
        """Keep what is to be kept of a window."""
        if self.store is not None:
            self.store.on_scores(scores)
        if self.clips is not None:
            self.clips.on_scores(scores)

    def miss(self, miss: NearMiss) -> None:
        """Keep a near miss."""
        if self.store is not None:
            self.store.on_near_miss(miss)

    def look_again(self, key: str) -> None:
        """Note that the directory of this key is another than before."""
        if key == "state" and self.store is not None:
            self.store.recheck()
        if key == "recordings":
            self._tidy()

    def close(self) -> None:
        """No more will come; what is left is written."""
        if self.clips is not None:
            self.clips.close()
        elif self.store is not None:
            self.store.close()

    def _run_clips(self) -> None:
        assert self.clips is not None  # noqa: S101 - else there is no such thread
        try:
            self.clips.run()
        finally:
            if self.store is not None:  # not before: what became of the last clips is to be kept as well
                self.store.close()

    def _tidy(self) -> None:
        """Keep the limits of clips from a time when they were wanted."""
        try:
            self.library.scan()
        except OSError as error:
            log.warning("clips: %s: %s", self._recordings, error.strerror or error)

    def _clip(self, clips: ClipRecorder, event: Event, label: LabelConfig) -> str | None:
        if event.stop is not None:
            return clips.finish_clip(event)
        if label.clips:
            clips.begin_clip(event, Origin(label, self._model, self._versions))
        return None

    def _decided(self, event_id: str, path: str | None, outcome: ClipOutcome) -> None:
        if self.store is not None:
            self.store.on_clip_outcome(event_id, path, outcome)

    def _deleted(self, event_id: str) -> None:
        if self.store is not None:
            self.store.on_clip_outcome(event_id, None, ClipOutcome.DELETED)

    def _found(self, found: list[tuple[str, str, Event | None]]) -> None:
        if self.store is not None:
            self.store.on_clips_found(found)
