import itertools
import time
from types import SimpleNamespace

import numpy as np
import pytest

from monitor.audio.sources.blocks import BlockLengths
from monitor.audio.sources.devices import Device
from monitor.audio.sources.portaudio_stream import ChannelReader, DeviceStream
from monitor.audio.sources.reconnect import WrongRateError
from monitor.types import SourceError

RATE = 40
PERIOD = 2
QUEUED = 100
LENGTHS = BlockLengths(3 * PERIOD / RATE, 4 * PERIOD / RATE)
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
        self.buffer = np.zeros((PERIOD, 2), dtype=np.float32)

    def start(self):
        if not self.starts:
            raise PortAudioError("device\nbusy")
        self.active = True

    def receive(self, value, *, overflow=False):
        self.buffer[:] = [[value, -value]] * PERIOD
        self.callback(self.buffer, PERIOD, None, SimpleNamespace(input_overflow=overflow))

    def abort(self):
        self.active = False

    def close(self):
        self.closed = True


PORTAUDIO = SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError)


@pytest.fixture
def reader():
    return opened(channel=2)


def opened(channel=None, **options):
    """A reader of an open device, whose `stream.plays` is PortAudio's side of it."""
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE, **options)
    stream.start()
    stream.plays = stream._stream
    return ChannelReader(stream, channel, LENGTHS)


def test_the_device_is_opened_as_it_was_chosen(reader):
    options = reader.stream.plays.options
    assert (options["device"], options["channels"], options["samplerate"]) == (3, 2, RATE)
    assert options["dtype"] == "float32"
    assert options["blocksize"] == PERIOD


def test_what_is_handed_over_is_a_copy_of_the_channel_that_is_listened_to(reader):
    before = time.time()
    for value in (0.25, 0.5):
        reader.stream.plays.receive(value)
    part = reader.read(0)
    assert part.samples.tolist() == [-0.25] * 2 + [-0.5] * 2
    assert (part.gap, part.lost, part.overflows) == (False, 0, 0)
    assert before <= part.ended_at <= time.time() + PERIOD / RATE


def test_a_reader_is_woken_up_when_a_whole_block_is_there_and_the_first_one_is_longer(reader):
    woken = []
    for value in range(1, 11):
        reader.stream.plays.receive(value)
        if reader._whole.is_set():
            woken.append((value, reader.read(100).samples.tolist()[::-PERIOD]))
    assert woken == [(4, [-4, -3, -2, -1]), (7, [-7, -6, -5]), (10, [-10, -9, -8])]


def test_the_beginning_of_the_next_block_waits_for_the_rest_of_it(reader):
    for value in range(1, 7):
        reader.stream.plays.receive(value)
    assert len(reader.read(100).samples) == 4 * PERIOD
    assert not reader._whole.is_set()
    reader.stream.plays.receive(7)
    assert len(reader.read(100).samples) == 3 * PERIOD


def test_after_a_short_read_the_next_block_ends_where_it_would_have_ended(reader):
    reader.stream.plays.receive(1)
    assert len(reader.read(0).samples) == PERIOD
    for value in range(2, 5):
        assert not reader._whole.is_set()
        reader.stream.plays.receive(value)
    assert len(reader.read(100).samples) == 3 * PERIOD


def test_the_first_block_after_a_gap_is_longer(reader):
    reader.stream.plays.receive(1)
    reader.stream.plays.receive(2, overflow=True)
    assert [len(reader.read(0).samples) for _ in range(2)] == [PERIOD, PERIOD]
    for value in range(3, 6):
        assert not reader._whole.is_set()
        reader.stream.plays.receive(value)
    assert reader._whole.is_set()


def test_nothing_is_none(reader):
    assert reader.read(0) is None


def test_a_full_queue_drops_the_new_and_counts_it_with_the_next(reader):
    for value in range(QUEUED + 3):
        reader.stream.plays.receive(value)
    before = [reader.read(0) for _ in range(QUEUED // 3)]
    reader.stream.plays.receive(500)
    after = reader.read(0)
    assert np.concatenate([-part.samples[::PERIOD] for part in before]).tolist() == list(range(QUEUED))
    assert not any(part.gap or part.lost or part.overflows for part in before)
    assert (-after.samples[::PERIOD]).tolist() == [500]
    assert (after.gap, after.lost, after.overflows) == (True, 3 * PERIOD, 1)
    for value in range(QUEUED + 1):  # full again
        reader.stream.plays.receive(value)
    parts = [reader.read(0) for _ in range(QUEUED // 3 + 1)]
    assert not any(part.gap or part.lost or part.overflows for part in parts)
    reader.stream.plays.receive(501)
    part = reader.read(0)
    assert (part.gap, part.lost, part.overflows) == (True, PERIOD, 1)


def test_an_overflow_of_the_driver_is_a_gap(reader):
    reader.stream.plays.receive(1)
    reader.stream.plays.receive(2, overflow=True)
    reader.stream.plays.receive(3)
    parts = [reader.read(0) for _ in range(2)]
    assert [(part.gap, part.overflows) for part in parts] == [(False, 0), (True, 1)]
    assert [(-part.samples[::PERIOD]).tolist() for part in parts] == [[1], [2, 3]]


def test_an_overflow_is_remembered_while_the_queue_is_full(reader):
    for value in range(QUEUED):
        reader.stream.plays.receive(value)
    reader.stream.plays.receive(0, overflow=True)
    for _ in range(QUEUED // 3):
        reader.read(0)
    reader.stream.plays.receive(1)
    assert reader.read(0).overflows == 2


def test_an_inactive_stream_is_lost_once_its_queue_is_empty(reader):
    reader.stream.plays.receive(1)
    reader.stream.plays.active = False
    assert reader.read(0) is not None
    with pytest.raises(SourceError, match="'fake' has disappeared"):
        reader.read(0)


def test_a_stream_that_cannot_start_is_said_in_one_line(monkeypatch):
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    monkeypatch.setattr(InputStream, "starts", False)
    with pytest.raises(SourceError, match=r"^'fake' does not start: device busy$"):
        stream.start()


def test_closing_closes_the_device(reader):
    reader.stream.close()
    assert reader.stream.plays.closed


def test_a_device_that_delivers_another_rate_is_lost_and_the_reason_has_both_rates():
    seconds = itertools.count(70.0, PERIOD / 30)
    reader = opened(now=lambda: next(seconds))

    def listen_for_long():
        for _ in range(10 * RATE):
            reader.stream.plays.receive(1)
            assert not reader.read(0).rate_confirmed

    with pytest.raises(WrongRateError, match="'fake' delivers 30 samples a second instead of 40"):
        listen_for_long()
    assert next(seconds) - 70 < 10


def test_a_device_that_delivers_what_was_agreed_on_is_known_to():
    seconds = itertools.count(70.0, PERIOD / RATE)
    reader = opened(now=lambda: next(seconds))
    known = []
    for _ in range(10 * RATE // PERIOD):
        reader.stream.plays.receive(1)
        known.append(reader.read(0).rate_confirmed)
    assert not known[0]
    assert known[-1]


def test_all_who_listen_to_a_device_hear_their_channel_of_the_same_moment():
    left = opened(channel=1)
    right, both = (ChannelReader(left.stream, channel, LENGTHS) for channel in (2, None))
    left.stream.plays.receive(0.25)
    parts = [reader.read(0) for reader in (left, right, both)]
    assert [part.samples.tolist() for part in parts] == [[0.25] * 2, [-0.25] * 2, [0] * 2]
    left.leave()
    left.stream.plays.receive(0.5)
    assert left.read(0) is None
    assert right.read(0).samples.tolist() == [-0.5] * 2


def test_one_who_does_not_read_loses_nothing_of_the_others():
    lazy = opened()
    busy = ChannelReader(lazy.stream, 1, LENGTHS)
    for value in range(QUEUED + 1):
        lazy.stream.plays.receive(value)
        assert busy.read(0).lost == 0
    assert [lazy.read(0).lost for _ in range(QUEUED // 3)] == [0] * (QUEUED // 3)
    lazy.stream.plays.receive(0)
    assert lazy.read(0).lost == PERIOD


def test_what_one_finds_to_be_lost_is_lost_for_all(reader):
    other = ChannelReader(reader.stream, 1, LENGTHS)
    for _ in range(4):
        reader.stream.plays.receive(1)
    reader.stream.trouble = WrongRateError("delivers 30 samples")
    with pytest.raises(WrongRateError, match="delivers 30 samples"):
        other.read(0)


def test_a_device_that_is_still_starting_is_not_lost():
    stream = DeviceStream(PORTAUDIO, MICROPHONE, channels=2, rate=RATE)
    assert ChannelReader(stream, 1, LENGTHS).read(0) is None


def test_it_is_known_when_a_device_last_sounded_on_any_channel():
    seconds = itertools.count(70)
    reader = opened(now=lambda: next(seconds))
    reader.stream.plays.receive(0)
    assert reader.stream.sounded_at == 70
    reader.stream.plays.receive(1)
    assert reader.stream.sounded_at == 72
