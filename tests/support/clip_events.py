"""A ring of numbered seconds, and events in it."""

import threading
from contextlib import contextmanager
from functools import partial

import numpy as np

from monitor.audio.ring_buffer import RingBuffer
from monitor.config import ClipsConfig
from monitor.detection.event_machine import ulid
from monitor.model.mel_config import MelConfig
from monitor.outputs.clips import ClipLibrary, ClipRecorder, clip_path, metadata
from monitor.types import AudioBlock, Scores
from tests.support import events
from tests.support.clocks import settled
from tests.support.events import AT, RATE, ended

ID = "01JDABCDEFGHJKMNPQRSTVWXYZ"
GEOMETRY = MelConfig(
    rate=RATE,
    length=RATE,
    fft_length=512,
    hop=80,
    mel_bins=16,
    frequency_min=50.0,
    frequency_max=3500.0,
    mel="slaney",
    padding="repeatpad",
    channels=1,
)
PLENTY = 10**12
event = partial(events.event, id=ID, source="mic")
"""Start of an event in `ring`."""

DOG = events.label_of("dog")


def second(i):
    return AudioBlock("mic", i * RATE, np.full(RATE, i / 100, np.float32), 100.0 + i)


def ring(seconds=20, capacity=60):
    buffer = RingBuffer(capacity * RATE, RATE)
    for i in range(seconds):
        buffer.append(second(i))
    return buffer


def window(start, *, speech=False, gated=None):
    """Return the scores of a second of audio from a second on."""
    return Scores(
        source="mic",
        start=round(start * RATE),
        stop=round((start + 1) * RATE),
        ended_at=101.0 + start,
        labels=("dog",),
        values=np.zeros(1, np.float32),
        level_dbfs=-30.0,
        speech=speech,
        gated=gated,
    )


class Cutting:
    """Clips whose thread runs, and what became of them."""

    def __init__(self, directory, buffer, *, free=PLENTY, **settings):
        self.outcomes = {}
        self.found = None
        config = ClipsConfig(enabled=True, keep_days=36_500, **settings)
        self.library = ClipLibrary(directory, config, free=lambda _: free)
        self.clips = ClipRecorder(
            config,
            self.library,
            {"mic": buffer},
            mel_config=GEOMETRY,
            model="starter",
            index=self,
        )

    def await_clips(self):
        pass

    def clips_done(self):
        pass

    def on_clip_outcome(self, event_id, path, outcome):
        self.outcomes[event_id] = path, outcome

    def on_clips_found(self, found):
        self.found = found


@contextmanager
def cutting(directory, buffer, *, speech_filter=False, **settings):
    cutter = Cutting(directory, buffer, speech_filter=speech_filter, **settings)
    thread = threading.Thread(target=cutter.clips.run)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.clips.close()
        thread.join(120)
        assert not thread.is_alive()


def library_of(directory, *, free=PLENTY, now=AT, on_deleted=lambda _: None, **settings):
    config = ClipsConfig(enabled=True, **settings)
    return ClipLibrary(directory, config, free=lambda _: free, clock=settled(now), on_deleted=on_deleted)


def put(library, at=AT, *, label="dog", size=1000):
    """Put a clip in; return its path."""
    kept = ended(event(at=at, label=label, id=ulid(at)))
    path = clip_path(kept)
    assert library.put(
        kept, path, {".png": b"png", ".flac": bytes(size)}, metadata.describe(kept, {}, DOG, "starter")
    )
    return path
