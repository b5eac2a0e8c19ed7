"""Archive: the event store and the clip recorder, wired to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.audio.ring_buffer import RingBuffer
from monitor.config import Config, LabelConfig
from monitor.model.mel_config import MelConfig
from monitor.outputs import Output
from monitor.outputs.clips import ClipLibrary, ClipRecorder
from monitor.outputs.clips.paths import with_url
from monitor.outputs.store import FILE, Store
from monitor.system.wall_clock import WallClock
from monitor.types import ClipOutcome, Event


@dataclass(frozen=True, slots=True)
class Archive:
    """Archive: the store and the clips."""

    library: ClipLibrary
    """The clips there are, also if no new ones are recorded."""
    store: Store | None
    recorder: ClipRecorder | None

    @property
    def outputs(self) -> dict[str, Output]:
        """The outputs among the parts, by name."""
        found = {"clips": self.recorder or self.library, "store": self.store}
        return {name: output for name, output in found.items() if output is not None}

    def record(self, event: Event, label: LabelConfig) -> Event:
        """Begin or end the clip of an event; return the event with the link to its clip, if it has one."""
        return event if self.recorder is None else self.recorder.record(event, label)

    def on_directory_changed(self, key: str) -> None:
        """Open the files of a directory again that was removed, replaced or unmounted."""
        if key == "state" and self.store is not None:
            self.store.recheck()
        if key == "recordings":
            self.library.tidy()


def open_archive(
    config: Config, *, clock: WallClock, buffers: Mapping[str, RingBuffer], mel_config: MelConfig, model: str
) -> Archive:
    """Make the store and the clip recorder, as far as the configuration enables them.

    ``buffers`` are by the name of the source.
    """

    def on_deleted(event_id: str) -> None:
        if store is not None:
            store.on_clip_outcome(event_id, None, ClipOutcome.DELETED)

    clips = with_url(config)
    library = ClipLibrary(config.recordings, clips, on_deleted=on_deleted, clock=clock)
    store = None
    if config.store.enabled:
        path = config.state / FILE
        store = Store(path, config.store, rate=mel_config.rate, clock=clock, remove_clip=library.delete)
    recorder = None
    if clips.enabled:
        recorder = ClipRecorder(clips, library, buffers, mel_config=mel_config, model=model, index=store)
    return Archive(library, store, recorder)
