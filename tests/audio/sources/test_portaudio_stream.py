import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.audio.sources.devices import Device
from monitor.audio.sources.portaudio_stream import ChannelReader, DeviceStream
from monitor.audio.sources.reconnect import WrongRateError
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
def ear():
    return listen(channel=2)


def listen(channel=None, **options):
    """An ear at an open device, whose `stream.plays` is PortAudio's side of it."""
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE, **options)
    stream.start()
    stream.plays = stream._stream
    return ChannelReader(stream, channel)


def test_the_device_is_opened_as_it_was_chosen(ear):
    options = ear.stream.plays.options
    assert (options["device"], options["channels"], options["samplerate"]) == (3, 2, RATE)
    assert options["dtype"] == "float32"
    assert options["blocksize"] == BLOCK


def test_what_is_handed_over_is_a_copy_of_the_channel_that_is_listened_to(ear):
    before = time.time()
    for value in (0.25, 0.5):
        ear.stream.plays.hear(value)
    takes = [ear.read(1), ear.read(1)]
    assert [take.samples.tolist() for take in takes] == [[-0.25] * 2, [-0.5] * 2]
    assert not any(take.gap or take.lost or take.overflows for take in takes)
    assert before <= takes[1].ended_at <= time.time() + BLOCK / RATE


def test_nothing_is_none(ear):
    assert ear.read(0.01) is None


def test_a_full_queue_drops_the_new_and_counts_it_with_the_next(ear):
    for value in range(QUEUED + 3):
        ear.stream.plays.hear(value)
    takes = [ear.read(1)]
    ear.stream.plays.hear(500)
    ear.stream.plays.hear(501)  # full again
    takes += [ear.read(1) for _ in range(QUEUED)]
    assert [-take.samples[0] for take in takes] == [*range(QUEUED), 500]
    assert [(take.gap, take.lost, take.overflows) for take in takes[:-1]] == [(False, 0, 0)] * QUEUED
    assert (takes[-1].gap, takes[-1].lost, takes[-1].overflows) == (True, 3 * BLOCK, 1)
    ear.stream.plays.hear(502)
    assert ear.read(1).lost == BLOCK


def test_an_overflow_of_the_driver_is_a_gap(ear):
    ear.stream.plays.hear(1)
    ear.stream.plays.hear(2, overflow=True)
    ear.stream.plays.hear(3)
    takes = [ear.read(1) for _ in range(3)]
    assert [(take.gap, take.overflows) for take in takes] == [(False, 0), (True, 1), (False, 0)]


def test_an_overflow_is_remembered_while_the_queue_is_full(ear):
    for value in range(QUEUED):
        ear.stream.plays.hear(value)
    ear.stream.plays.hear(0, overflow=True)
    for _ in range(QUEUED):
        ear.read(1)
    ear.stream.plays.hear(1)
    assert ear.read(1).overflows == 2


def test_an_inactive_stream_is_lost_once_its_queue_is_empty(ear):
    ear.stream.plays.hear(1)
    ear.stream.plays.active = False
    assert ear.read(0.01) is not None
    with pytest.raises(SourceError, match="'fake' has gone away"):
        ear.read(0.01)


def test_a_stream_that_cannot_start_is_said_in_one_line(monkeypatch):
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    monkeypatch.setattr(InputStream, "starts", False)
    with pytest.raises(SourceError, match=r"^'fake' does not start: device busy$"):
        stream.start()


def test_closing_closes_the_device(ear):
    ear.stream.close()
    assert ear.stream.plays.closed


def test_a_device_that_delivers_another_rate_than_was_agreed_on_is_lost_and_both_rates_are_said():
    seconds = itertools.count(70.0, BLOCK / 30)
    ear = listen(now=lambda: next(seconds))

    def listen_for_long():
        for _ in range(10 * RATE):
            ear.stream.plays.hear(1)
            assert not ear.read(1).at_rate

    with pytest.raises(WrongRateError, match="'fake' delivers 30 samples a second where 40 were agreed on"):
        listen_for_long()
    assert next(seconds) - 70 < 10


def test_a_device_that_delivers_what_was_agreed_on_is_known_to():
    seconds = itertools.count(70.0, BLOCK / RATE)
    ear = listen(now=lambda: next(seconds))
    known = []
    for _ in range(10 * RATE // BLOCK):
        ear.stream.plays.hear(1)
        known.append(ear.read(1).at_rate)
    assert not known[0]
    assert known[-1]


def test_all_who_listen_to_a_device_hear_their_channel_of_the_same_moment():
    left = listen(channel=1)
    right, both = ChannelReader(left.stream, 2), ChannelReader(left.stream, None)
    left.stream.plays.hear(0.25)
    takes = [ear.read(1) for ear in (left, right, both)]
    assert [take.samples.tolist() for take in takes] == [[0.25] * 2, [-0.25] * 2, [0] * 2]
    left.leave()
    left.stream.plays.hear(0.5)
    assert left.read(0.01) is None
    assert right.read(1).samples.tolist() == [-0.5] * 2


def test_one_who_does_not_read_loses_nothing_of_the_others():
    lazy = listen()
    busy = ChannelReader(lazy.stream, 1)
    for value in range(QUEUED + 1):
        lazy.stream.plays.hear(value)
        assert busy.read(1).lost == 0
    lazy.read(1)
    lazy.stream.plays.hear(0)
    assert [lazy.read(1).lost for _ in range(QUEUED)] == [0] * (QUEUED - 1) + [BLOCK]


def test_what_one_finds_to_be_lost_is_lost_for_all(ear):
    other = ChannelReader(ear.stream, 1)
    ear.stream.plays.hear(1)
    ear.stream.trouble = WrongRateError("delivers 30 samples")
    with pytest.raises(WrongRateError, match="delivers 30 samples"):
        other.read(1)


def test_a_device_that_is_still_starting_is_not_lost():
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    assert ChannelReader(stream, 1).read(0.01) is None


def test_it_is_known_when_a_device_last_sounded_on_any_channel():
    seconds = itertools.count(70)
    ear = listen(now=lambda: next(seconds))
    ear.stream.plays.hear(0)
    assert ear.stream.sounded_at == 70
    ear.stream.plays.hear(1)
    assert ear.stream.sounded_at == 72
