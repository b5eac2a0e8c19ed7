"""A ring of numbered seconds, and events in it."""

import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from monitor.audio.ring_buffer import RingBuffer
from monitor.config import ClipsConfig
from monitor.model.mel_config import MelConfig
from monitor.outputs.clips import ClipLibrary, ClipRecorder
from monitor.types import AudioBlock, Event, Scores

RATE = 8_000
ID = "01JDABCDEFGHJKMNPQRSTVWXYZ"
NOON = 1_795_435_203.4
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
ABOUT = {"label": {"id": "dog"}, "model": "starter", "versions": {}}


def event(start=8 * RATE, *, ident=ID, label="dog", at=NOON):
    """Return the start of an event."""
    return Event(
        id=ident,
        source="mic",
        label=label,
        start=start,
        stop=None,
        started_at=at,
        ended_at=None,
        score=0.8,
        peak=0.8,
        windows=2,
        level_dbfs=-30.0,
        uncertainty_seconds=1.0,
    )


def over(start, seconds=2.0):
    """Return the end of an event."""
    return replace(
        start, stop=start.start + round(seconds * RATE), ended_at=start.started_at + seconds, reason="quiet"
    )


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
            on_decided=self._decided,
            on_found=self._found,
        )

    def _decided(self, event_id, path, fate):
        self.outcomes[event_id] = path, fate

    def _found(self, found):
        self.found = found


@contextmanager
def cutting(directory, buffer, *, speech_guard=False, **settings):
    cutter = Cutting(directory, buffer, speech_guard=speech_guard, **settings)
    thread = threading.Thread(target=cutter.clips.run)
    thread.start()
    try:
        yield cutter
    finally:
        cutter.clips.close()
        thread.join(120)
        assert not thread.is_alive()
