import io
import itertools
import os
import threading
import time

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.digital_silence import _IMPLAUSIBLE
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.pcm import open_pcm, to_float
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import NotAudioError, SourceError
from tests.support.broker import eventually

RATE = 1000


def blocks_from(stream, stop=None, status=None, *, live=False, now=time.monotonic, **changes):
    what = {"input_rate": RATE, "rate": RATE} | changes
    rate, what["rate"] = what["rate"], what.pop("input_rate")
    pace = "realtime" if live else "fast"
    source = SourceConfig.model_construct(name="in", kind="pcm", pace=pace, **what)  # without validation
    context = SourceContext(rate, status or SourceStatus("in"), stop or threading.Event())
    return open_pcm(source, context, stream, now)


def heard(data, **changes):
    blocks = list(blocks_from(io.BytesIO(data), **changes))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert not any(block.gap for block in blocks)
    return np.concatenate([block.samples for block in blocks])


def ints(*values, kind="<i2"):
    return np.array(values, dtype=kind).tobytes()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("u8", bytes([0, 64, 128, 255]), [-1, -0.5, 0, 127 / 128]),
        ("s16le", ints(-32768, 1, 32767), [-1, 1 / 32768, 32767 / 32768]),
        ("s24le", b"\x00\x00\x80" + b"\x01\x00\x00" + b"\xff\xff\x7f", [-1, 2**-23, 1 - 2**-23]),
        ("s32le", ints(-(2**31), 2**30, kind="<i4"), [-1, 0.5]),
        ("f32le", np.array([1.5, -0.25], "<f4").tobytes(), [1.5, -0.25]),
    ],
)
def test_every_format_is_a_fraction_of_full_scale(name, data, expected):
    got = to_float(data, name)
    assert got.dtype == np.float32
    assert got.tolist() == expected


def test_samples_that_are_not_finite_are_passed_on():
    got = heard(np.array([0.5, np.nan, np.inf], "<f4").tobytes(), format="f32le")
    assert got[0] == 0.5
    assert np.isnan(got[1])
    assert np.isinf(got[2])


def test_the_mean_of_what_no_sound_is_costs_no_warning(recwarn):
    data = np.array([3e38, 3e38, np.inf, -np.inf], "<f4").tobytes()
    got = heard(data, format="f32le", channels=2)
    assert not np.isfinite(got).all()
    assert [warning for warning in recwarn if issubclass(warning.category, RuntimeWarning)] == []


def test_bytes_of_another_format_cost_no_warning(recwarn):
    signalling = np.full(2 * RATE, 0x7FA00000, "<u4").tobytes()  # among them NaNs of which numpy warns
    World().hear(signalling, format="f32le")
    assert not recwarn.list


def test_channels_are_interleaved_and_the_one_asked_for_is_heard():
    assert (heard(ints(1, 2, 3, 4), channels=2, channel=2) * 32768).tolist() == [2, 4]
    assert (heard(ints(1, 2, 3, 5), channels=2) * 32768).tolist() == [1.5, 4]


def test_a_channel_that_is_not_there_is_an_error():
    with pytest.raises(SourceError, match="has 2 channels, so no channel 3"):
        heard(ints(1, 2), channels=2, channel=3)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_samples_cut_anywhere_by_the_pipe_are_put_together_again(sizes):
    audio = np.random.default_rng(0).integers(-9000, 9000, (400, 3)).astype("<i2")
    data = audio.tobytes()

    class Pipe(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, sizes[self.tell() % len(sizes)]))

    blocks = list(blocks_from(Pipe(data), channels=3, channel=2))
    assert (np.concatenate([b.samples for b in blocks]) * 32768).tolist() == audio[:, 1].tolist()


def test_the_whole_stream_is_resampled_as_one():
    audio = np.random.default_rng(0).uniform(-1, 1, 44111).astype("<f4")
    got = heard(audio.tobytes(), format="f32le", input_rate=44100, rate=16000)
    assert got.tolist() == soxr.resample(audio, 44100, 16000, quality="HQ").tolist()


def test_bytes_that_are_no_whole_sample_are_said_and_counted(caplog):
    status = SourceStatus("in")
    assert len(heard(ints(1, 2, 3) + b"\x00", status=status)) == 3
    assert status.lost == 1
    assert "the last 1 bytes are not a whole sample" in caplog.text


def test_a_stream_without_a_sample_is_no_audio():
    with pytest.raises(NotAudioError, match="ended before its first sample"):
        heard(b"\x00")


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as source, os.fdopen(writer, "wb", buffering=0) as sink:
        yield source, sink


def test_a_pipe_is_heard_as_it_comes_and_its_closing_is_the_end(pipe):
    source, sink = pipe
    blocks = blocks_from(source)
    sink.write(ints(*range(5)))
    before = time.time()
    first = next(blocks)
    assert (first.samples * 32768).tolist() == [0, 1, 2, 3, 4]
    assert before - 1 < first.ended_at <= time.time()
    sink.write(ints(5, 6))
    sink.close()
    assert [(block.samples * 32768).tolist() for block in blocks] == [[5, 6]]


def test_a_silent_pipe_does_not_keep_anybody_from_stopping(pipe):
    source, _ = pipe
    stop = threading.Event()
    blocks = blocks_from(source, stop)
    threading.Timer(0.05, stop.set).start()
    assert list(blocks) == []


def listened_to(source, sink, written, **options):
    """What is heard of samples written one after the other, each a quarter of an hour after the last."""
    status, seconds = SourceStatus("in"), itertools.count(0, 900)
    blocks = blocks_from(source, status=status, now=lambda: next(seconds), **options)
    seen = []
    for values in written:
        looked = status.looked
        timer = threading.Timer(0.5, sink.write, [ints(*values)])
        timer.start()
        block = next(blocks)
        timer.join()
        assert status.looked > looked
        seen.append(((block.samples * 32768).tolist(), block.gap))
    return seen


def test_a_live_pipe_through_which_nothing_comes_is_offline_until_it_does(pipe, caplog):
    seen = listened_to(*pipe, [[1], [2], [3]], live=True)
    assert seen == [([1], False), ([2], True), ([3], True)]
    assert [line.getMessage() for line in caplog.records][:4] == [
        "source in is offline: nothing has arrived through the pipe for 5 s",
        "source in is online again",
    ] * 2


def test_a_byte_now_and_then_does_not_hold_up_the_reader(pipe, monkeypatch):
    """The daemon would take it for a hang, and end."""
    monkeypatch.setattr("monitor.audio.sources.pcm._GATHER_SECONDS", 0.2)
    read, write = pipe
    status, stop, over = SourceStatus("in"), threading.Event(), threading.Event()

    def trickle():
        while not over.wait(0.01):
            write.write(b"\1")

    def look():
        list(blocks_from(read, status=status, stop=stop, live=True, format="s16le", input_rate=48_000))

    threads = [threading.Thread(target=target) for target in (trickle, look)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: status.looked >= 3)
    finally:
        stop.set()
        over.set()
        for thread in threads:
            thread.join()


class World:
    """A clock that only waiting moves."""

    def __init__(self):
        self.now, self.waited = 1000.0, []
        self.stop = threading.Event()
        self.stop.wait = self.wait

    def wait(self, seconds):
        self.now += seconds
        self.waited.append(seconds)
        return False

    def hear(self, data, **options):
        status = SourceStatus("in")
        blocks = blocks_from(
            io.BytesIO(data), status=status, stop=self.stop, live=True, now=lambda: self.now, **options
        )
        return [(block, self.now, status.offline_text) for block in blocks]


@pytest.mark.parametrize(("format_", "zero"), [("s16le", 0), ("s24le", 0), ("f32le", 0), ("u8", 128)])
def test_zeros_of_8_seconds_through_a_live_pipe_are_offline_until_the_next_sound(format_, zero, caplog):
    second = RATE * {"s16le": 2, "s24le": 3, "f32le": 4, "u8": 1}[format_]
    sound = np.random.default_rng(0).integers(1, 60, second).astype(np.uint8).tobytes()
    data = sound + bytes([zero]) * 26 * second + sound
    seen = World().hear(data, format=format_)
    offline = [block.stop / RATE for block, _, trouble in seen if trouble is not None]
    assert (min(offline), max(offline)) == (pytest.approx(9, abs=0.11), pytest.approx(27, abs=0.11))
    assert not any(block.gap for block, _, _ in seen)
    assert [line.getMessage() for line in caplog.records if "faster" not in line.getMessage()] == [
        "source in is offline: nothing but digital silence for 8 s: is it muted?",
        "source in is online again",
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20, -2000.0])
@pytest.mark.parametrize("every", [1, RATE // 2])
def test_samples_that_no_sound_has_for_8_seconds_are_offline_until_they_cease(bad, every, caplog):
    sound = np.random.default_rng(0).normal(0.0, 0.1, 41 * RATE).astype("<f4")
    sound[RATE : 31 * RATE : every] = bad
    seen = World().hear(sound.tobytes(), format="f32le")
    offline = [block.stop / RATE for block, _, trouble in seen if trouble is not None]
    assert min(offline) == pytest.approx(9, abs=0.21)
    assert max(offline) == pytest.approx(31.5, abs=0.7)
    assert [line.getMessage() for line in caplog.records if "faster" not in line.getMessage()] == [
        f"source in is offline: {_IMPLAUSIBLE}",
        "source in is online again",
    ]


def test_a_bad_sample_now_and_then_does_not_count_as_offline(caplog):
    sound = np.random.default_rng(0).normal(0.0, 0.1, 30 * RATE).astype("<f4")
    sound[:: 2 * RATE] = np.nan
    World().hear(sound.tobytes(), format="f32le")
    assert "offline" not in caplog.text


def test_zeros_of_a_recording_that_is_read_fast_are_what_was_recorded(caplog):
    status = SourceStatus("in")
    heard(bytes(2 * 20 * RATE), status=status)
    assert not status.offline
    assert caplog.text == ""


def test_a_recording_that_is_piped_faster_than_time_goes_is_heard_at_the_pace_of_time(caplog):
    world = World()
    seen = world.hear(np.ones(60 * RATE, "<i2").tobytes())
    assert seen[-1][0].stop == 60 * RATE
    for block, at, _ in seen:
        assert block.stop / RATE <= (at - 1000.0) * 1.01 + 5.2
    said = [line.getMessage() for line in caplog.records]
    assert len(said) == 1
    assert "--fast" in said[0]


@pytest.mark.parametrize("seconds", [1, 4])
def test_what_a_live_writer_had_in_store_is_soon_made_up_for(seconds, caplog):
    world = World()
    world.hear(np.ones(seconds * RATE, "<i2").tobytes())
    assert world.now - 1000.0 <= seconds / 2
    assert caplog.text == ""


def test_a_live_pipe_is_never_held_back(caplog):
    class Pipe(io.BytesIO):
        def read(self, size=-1):
            world.now += 0.1 * (1 - 1e-3)  # the clock of a sound card that is too fast
            return super().read(size)

    world = World()
    pipe = Pipe(np.ones(100_000 * RATE // 10, "<i2").tobytes())
    blocks = blocks_from(pipe, stop=world.stop, live=True, now=lambda: world.now)
    assert sum(len(block.samples) for block in blocks) == 100_000 * RATE // 10
    assert sum(world.waited) == 0
    assert caplog.text == ""


def test_who_pipes_a_recording_may_take_his_time(pipe, caplog):
    assert listened_to(*pipe, [[1], [2]]) == [([1], False), ([2], False)]
    assert caplog.text == ""


def test_a_descriptor_that_cannot_be_read_is_an_error(tmp_path):
    with (
        (tmp_path / "write-only").open("wb") as sink,
        pytest.raises(SourceError, match="Bad file descriptor"),
    ):
        next(blocks_from(sink))


def test_a_recording_piped_at_once_is_stamped_as_if_it_were_captured_from_now_on():
    blocks = list(blocks_from(io.BytesIO(bytes(2 * RATE * 60))))
    assert blocks[-1].ended_at - blocks[0].ended_at == pytest.approx(59.9, abs=0.1)


def test_stamps_never_fall_and_lie_a_block_behind_the_next(pipe):
    source, sink = pipe
    blocks = blocks_from(source)
    stamps = []
    for _ in range(5):
        sink.write(bytes(200))
        stamps.append(next(blocks).ended_at)
    assert stamps == sorted(stamps)
