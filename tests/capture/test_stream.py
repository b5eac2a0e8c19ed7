import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.capture.device import Device
from monitor.capture.recovery import RateLieError
from monitor.capture.stream import DeviceStream
from monitor.types import SourceError

RATE = 40
BLOCK = 2
QUEUED = 100
MICROPHONE = Device(3, "fake", "none", channels=2, rate=float(RATE), default=True)


class PortAudioError(Exception):
    """Like sounddevice's."""


class InputStream:
    """Like sounddevice's; `hear` plays the part of PortAudio's thread, with its one buffer for all blocks."""

    starts = True

    def __init__(self, *, callback, **options):
        self.callback = callback
        self.options = options
        self.active = False
        self.closed = False
        self.buffer = np.zeros((BLOCK, 2), dtype=np.float32)

    def start(self):
        if not self.starts:
            raise PortAudioError("device\nbusy")
        self.active = True

    def hear(self, value, *, overflow=False):
        self.buffer[:] = [[value, -value]] * BLOCK
        self.callback(self.buffer, BLOCK, None, SimpleNamespace(input_overflow=overflow))

    def abort(self):
        self.active = False

    def close(self):
        self.closed = True


PORTAUDIO = SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError)


@pytest.fixture
def stream():
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, channel=2, rate=RATE)
    stream.start()
    return stream


def test_the_device_is_opened_as_it_was_chosen(stream):
    options = stream._stream.options
    assert (options["device"], options["channels"], options["samplerate"]) == (3, 2, RATE)
    assert options["dtype"] == "float32"
    assert options["blocksize"] == BLOCK


def test_what_is_handed_over_is_a_copy_of_the_channel_that_is_listened_to(stream):
    before = time.time()
    for value in (0.25, 0.5):
        stream._stream.hear(value)
    takes = [stream.read(1), stream.read(1)]
    assert [take.samples.tolist() for take in takes] == [[-0.25] * 2, [-0.5] * 2]
    assert not any(take.gap or take.lost or take.overflows for take in takes)
    assert before <= takes[1].ended_at <= time.time() + BLOCK / RATE


def test_nothing_is_none(stream):
    assert stream.read(0.01) is None


def test_a_full_queue_drops_the_new_and_counts_it_with_the_next(stream):
    for value in range(QUEUED + 3):
        stream._stream.hear(value)
    takes = [stream.read(1)]
    stream._stream.hear(500)
    stream._stream.hear(501)  # full again
    takes += [stream.read(1) for _ in range(QUEUED)]
    assert [-take.samples[0] for take in takes] == [*range(QUEUED), 500]
    assert [(take.gap, take.lost, take.overflows) for take in takes[:-1]] == [(False, 0, 0)] * QUEUED
    assert (takes[-1].gap, takes[-1].lost, takes[-1].overflows) == (True, 3 * BLOCK, 1)
    stream._stream.hear(502)
    assert stream.read(1).lost == BLOCK


def test_an_overflow_of_the_driver_is_a_gap(stream):
    stream._stream.hear(1)
    stream._stream.hear(2, overflow=True)
    stream._stream.hear(3)
    takes = [stream.read(1) for _ in range(3)]
    assert [(take.gap, take.overflows) for take in takes] == [(False, 0), (True, 1), (False, 0)]


def test_an_overflow_is_remembered_while_the_queue_is_full(stream):
    for value in range(QUEUED):
        stream._stream.hear(value)
    stream._stream.hear(0, overflow=True)
    for _ in range(QUEUED):
        stream.read(1)
    stream._stream.hear(1)
    assert stream.read(1).overflows == 2


def test_an_inactive_stream_is_lost_once_its_queue_is_empty(stream):
    stream._stream.hear(1)
    stream._stream.active = False
    assert stream.read(0.01) is not None
    with pytest.raises(SourceError, match="'fake' has gone away"):
        stream.read(0.01)


def test_a_stream_that_cannot_start_is_said_in_one_line(monkeypatch):
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, channel=None, rate=RATE)
    monkeypatch.setattr(InputStream, "starts", False)
    with pytest.raises(SourceError, match=r"^'fake' does not start: device busy$"):
        stream.start()


def test_closing_closes_the_device(stream):
    stream.close()
    assert stream._stream.closed


def test_a_device_that_delivers_another_rate_than_was_agreed_on_is_lost_and_both_rates_are_said():
    seconds = itertools.count(70.0, BLOCK / 30)
    stream = DeviceStream(
        PORTAUDIO, MICROPHONE, channels=2, channel=None, rate=RATE, now=lambda: next(seconds)
    )

    def listen():
        for _ in range(10 * RATE):
            stream._stream.hear(1)
            assert not stream.read(1).at_rate

    with pytest.raises(RateLieError, match="'fake' delivers 30 samples a second where 40 were agreed on"):
        listen()
    assert next(seconds) - 70 < 10


def test_a_device_that_delivers_what_was_agreed_on_is_known_to():
    seconds = itertools.count(70.0, BLOCK / RATE)
    stream = DeviceStream(
        PORTAUDIO, MICROPHONE, channels=2, channel=None, rate=RATE, now=lambda: next(seconds)
    )
    known = []
    for _ in range(10 * RATE // BLOCK):
        stream._stream.hear(1)
        known.append(stream.read(1).at_rate)
    assert not known[0]
    assert known[-1]
