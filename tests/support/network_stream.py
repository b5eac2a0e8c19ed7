"""Readers of network streams, in a thread of their own."""

import threading

import numpy as np

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources import SourceContext
from monitor.audio.sources.ffmpeg import open_stream
from monitor.config import Address
from monitor.types import SourceError
from tests.support.broker import eventually

RATE = 16000
PASSWORD = "p#a@s:s/w%rd 2ü"
PATIENCE = 120


class Listener:
    """Someone who listens to a stream in a thread of its own."""

    def __init__(self, url, *, login=None, required=False, **address):
        self.status = SourceStatus("cam")
        self.blocks = []
        self.error = None
        self._stop = threading.Event()
        context = SourceContext(RATE, self.status, self._stop, required)
        self._source = open_stream(Address(url, login, **address), None, context)
        self._thread = threading.Thread(target=self._listen)

    def _listen(self):
        try:
            for block in self._source:
                self.blocks.append(block)
        except SourceError as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive()

    @property
    def seconds(self):
        return self.blocks[-1].stop / RATE if self.blocks else 0.0

    def wait_until_heard(self, seconds):
        eventually(lambda: self.seconds >= seconds or self.error, PATIENCE)
        assert self.error is None

    def wait_for_trouble(self, words):
        eventually(lambda: words in (self.status.offline_text or ""), PATIENCE)


def pitch(blocks, *, skip=0.5, seconds=1.0):
    """Return the loudest frequency, in Hz."""
    samples = np.concatenate([block.samples for block in blocks])
    samples = samples[round(skip * RATE) :][: round(seconds * RATE)]
    return np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) / seconds


def reasons(url, **options):
    """Return what is said when a stream is required and cannot be had."""
    with Listener(url, required=True, **options) as listener:
        eventually(lambda: listener.error, PATIENCE)
    return str(listener.error)
