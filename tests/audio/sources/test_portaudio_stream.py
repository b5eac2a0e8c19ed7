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

    def receive(self, value, *, overflow=False):
        self.buffer[:] = [[value, -value]] * BLOCK
        self.callback(self.buffer, BLOCK, None, SimpleNamespace(input_overflow=overflow))

    def abort(self):
        self.active = False

    def close(self):
        self.closed = True


PORTAUDIO = SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError)


@pytest.fixture
def reader():
    return opened(channel=2)


def opened(channel=None, **options):
    """An reader at an open device, whose `stream.plays` is PortAudio's side of it."""
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE, **options)
    stream.start()
    stream.plays = stream._stream
    return ChannelReader(stream, channel)


def test_the_device_is_opened_as_it_was_chosen(reader):
    options = reader.stream.plays.options
    assert (options["device"], options["channels"], options["samplerate"]) == (3, 2, RATE)
    assert options["dtype"] == "float32"
    assert options["blocksize"] == BLOCK


def test_what_is_handed_over_is_a_copy_of_the_channel_that_is_listened_to(reader):
    before = time.time()
    for value in (0.25, 0.5):
        reader.stream.plays.receive(value)
    parts = [reader.read(1), reader.read(1)]
    assert [part.samples.tolist() for part in parts] == [[-0.25] * 2, [-0.5] * 2]
    assert not any(part.gap or part.lost or part.overflows for part in parts)
    assert before <= parts[1].ended_at <= time.time() + BLOCK / RATE


def test_nothing_is_none(reader):
    assert reader.read(0.01) is None


def test_a_full_queue_drops_the_new_and_counts_it_with_the_next(reader):
    for value in range(QUEUED + 3):
        reader.stream.plays.receive(value)
    parts = [reader.read(1)]
    reader.stream.plays.receive(500)
    reader.stream.plays.receive(501)  # full again
    parts += [reader.read(1) for _ in range(QUEUED)]
    assert [-part.samples[0] for part in parts] == [*range(QUEUED), 500]
    assert [(part.gap, part.lost, part.overflows) for part in parts[:-1]] == [(False, 0, 0)] * QUEUED
    assert (parts[-1].gap, parts[-1].lost, parts[-1].overflows) == (True, 3 * BLOCK, 1)
    reader.stream.plays.receive(502)
    assert reader.read(1).lost == BLOCK


def test_an_overflow_of_the_driver_is_a_gap(reader):
    reader.stream.plays.receive(1)
    reader.stream.plays.receive(2, overflow=True)
    reader.stream.plays.receive(3)
    parts = [reader.read(1) for _ in range(3)]
    assert [(part.gap, part.overflows) for part in parts] == [(False, 0), (True, 1), (False, 0)]


def test_an_overflow_is_remembered_while_the_queue_is_full(reader):
    for value in range(QUEUED):
        reader.stream.plays.receive(value)
    reader.stream.plays.receive(0, overflow=True)
    for _ in range(QUEUED):
        reader.read(1)
    reader.stream.plays.receive(1)
    assert reader.read(1).overflows == 2


def test_an_inactive_stream_is_lost_once_its_queue_is_empty(reader):
    reader.stream.plays.receive(1)
    reader.stream.plays.active = False
    assert reader.read(0.01) is not None
    with pytest.raises(SourceError, match="'fake' has disappeared"):
        reader.read(0.01)


def test_a_stream_that_cannot_start_is_said_in_one_line(monkeypatch):
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    monkeypatch.setattr(InputStream, "starts", False)
    with pytest.raises(SourceError, match=r"^'fake' does not start: device busy$"):
        stream.start()


def test_closing_closes_the_device(reader):
    reader.stream.close()
    assert reader.stream.plays.closed


def test_a_device_that_delivers_another_rate_is_lost_and_the_reason_has_both_rates():
    seconds = itertools.count(70.0, BLOCK / 30)
    reader = opened(now=lambda: next(seconds))

    def listen_for_long():
        for _ in range(10 * RATE):
            reader.stream.plays.receive(1)
            assert not reader.read(1).rate_confirmed

    with pytest.raises(WrongRateError, match="'fake' delivers 30 samples a second instead of 40"):
        listen_for_long()
    assert next(seconds) - 70 < 10


def test_a_device_that_delivers_what_was_agreed_on_is_known_to():
    seconds = itertools.count(70.0, BLOCK / RATE)
    reader = opened(now=lambda: next(seconds))
    known = []
    for _ in range(10 * RATE // BLOCK):
        reader.stream.plays.receive(1)
        known.append(reader.read(1).rate_confirmed)
    assert not known[0]
    assert known[-1]


def test_all_who_listen_to_a_device_hear_their_channel_of_the_same_moment():
    left = opened(channel=1)
    right, both = ChannelReader(left.stream, 2), ChannelReader(left.stream, None)
    left.stream.plays.receive(0.25)
    parts = [reader.read(1) for reader in (left, right, both)]
    assert [part.samples.tolist() for part in parts] == [[0.25] * 2, [-0.25] * 2, [0] * 2]
    left.leave()
    left.stream.plays.receive(0.5)
    assert left.read(0.01) is None
    assert right.read(1).samples.tolist() == [-0.5] * 2


def test_one_who_does_not_read_loses_nothing_of_the_others():
    lazy = opened()
    busy = ChannelReader(lazy.stream, 1)
    for value in range(QUEUED + 1):
        lazy.stream.plays.receive(value)
        assert busy.read(1).lost == 0
    lazy.read(1)
    lazy.stream.plays.receive(0)
    assert [lazy.read(1).lost for _ in range(QUEUED)] == [0] * (QUEUED - 1) + [BLOCK]


def test_what_one_finds_to_be_lost_is_lost_for_all(reader):
    other = ChannelReader(reader.stream, 1)
    reader.stream.plays.receive(1)
    reader.stream.trouble = WrongRateError("delivers 30 samples")
    with pytest.raises(WrongRateError, match="delivers 30 samples"):
        other.read(1)


def test_a_device_that_is_still_starting_is_not_lost():
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    assert ChannelReader(stream, 1).read(0.01) is None


def test_it_is_known_when_a_device_last_sounded_on_any_channel():
    seconds = itertools.count(70)
    reader = opened(now=lambda: next(seconds))
    reader.stream.plays.receive(0)
    assert reader.stream.sounded_at == 70
    reader.stream.plays.receive(1)
    assert reader.stream.sounded_at == 72
