import os
import socket
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.ffmpeg import decode, open_file, to_float
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import NotAudioError, SourceError

RATE = 8000


def blocks_of(path, *, rate=RATE, channel=None, pace="fast", status=None, stop=None):
    status, stop = status or SourceStatus("file"), stop or threading.Event()
    config = SourceConfig(name="file", kind="file", path=path, channel=channel, pace=pace)
    return open_file(config, SourceContext(rate, status, stop))


def noise(n, channels=1):
    return np.random.default_rng(n).integers(-30000, 30000, (n, channels)).astype(np.int16)


@pytest.fixture
def wav(tmp_path):
    """A file of n samples; what is in it."""

    def write(n, channels=1, rate=RATE, name="a.wav", subtype="PCM_16"):
        audio = noise(n, channels)
        soundfile.write(tmp_path / name, audio / 32768, rate, subtype=subtype)
        return tmp_path / name, (audio / 32768).astype(np.float32)

    return write


# --- what is heard ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("a.wav", "PCM_16"),
        ("a.wav", "PCM_24"),
        ("a.wav", "PCM_32"),
        ("a.wav", "FLOAT"),
        ("a.wav", "DOUBLE"),
        ("a.flac", "PCM_16"),
        ("a.flac", "PCM_24"),
        ("a.aiff", "PCM_16"),
    ],
)
def test_every_lossless_format_is_heard_exactly(wav, name, subtype, channels):
    path, audio = wav(5000, channels, name=name, subtype=subtype)
    assert decode(path, RATE, channels).tolist() == audio[:, -1].tolist()
    np.testing.assert_allclose(decode(path, RATE), audio.mean(axis=1), atol=1e-7)


def test_eight_bits_are_heard_to_half_a_step(wav):
    path, audio = wav(5000, 6, subtype="PCM_U8")
    np.testing.assert_allclose(decode(path, RATE, 6), audio[:, 5], atol=1 / 128)
    assert np.abs(decode(path, RATE).mean()) < 0.01  # 128 is zero


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.ogg", "VORBIS"), ("a.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III")]
)
def test_lossy_formats_are_heard_as_sound(tmp_path, name, subtype):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
    soundfile.write(tmp_path / name, np.stack([tone, tone], axis=1), 48000, subtype=subtype)
    got = decode(tmp_path / name, 16000)
    spectrum = np.abs(np.fft.rfft(got[:16000]))
    assert np.argmax(spectrum) * 16000 / len(got[:16000]) == pytest.approx(440, abs=2)
    assert len(got) == pytest.approx(16000, abs=600)


@pytest.mark.parametrize(
    ("kind", "zero", "half"),
    [
        (np.uint8, 128, 192),
        (np.int16, 0, 2**14),
        (np.int32, 0, 2**30),
        (np.int64, 0, 2**62),
        (np.float32, 0, 0.5),
        (np.float64, 0, 0.5),
    ],
)
def test_planar_and_packed_samples_of_any_kind_are_the_same_frames(kind, zero, half):
    planar = np.array([[zero, half, zero], [half, half, zero]], dtype=kind)
    packed = planar.T.reshape(1, -1)
    for samples in (planar, packed):
        got = to_float(samples, 2)
        assert got.dtype == np.float32
        assert got.tolist() == [[0, 0.5], [0.5, 0.5], [0, 0]]


@pytest.mark.parametrize("input_rate", [44100, 48000, 11025])
def test_the_whole_file_is_resampled_as_one(wav, input_rate):
    path, audio = wav(20011, 2, rate=input_rate)
    expected = soxr.resample(audio.mean(axis=1), input_rate, RATE, quality="HQ")
    assert decode(path, RATE).tolist() == expected.tolist()


def test_samples_that_are_not_finite_are_passed_on(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.25, np.nan, np.inf]), RATE, subtype="FLOAT")
    got = decode(tmp_path / "a.wav", RATE)
    assert got[0] == 0.25
    assert np.isnan(got[1])
    assert np.isinf(got[2])


def test_a_name_that_looks_like_a_network_address_is_a_file(wav):
    path, audio = wav(100, name="2026-11-23T10:00:00.wav")
    assert decode(path, RATE).tolist() == audio[:, 0].tolist()


def test_the_sound_of_a_film_is_heard(tmp_path):
    path = tmp_path / "film.mkv"
    write_film(path, with_sound=True)
    assert len(decode(path, RATE)) == RATE


def write_film(path, *, with_sound):
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if with_sound else None
        for _ in range(5):
            container.mux(pictures.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(pictures.encode(None))
        if sound:
            frame = av.AudioFrame.from_ndarray(noise(RATE).T, format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))


# --- as blocks ----------------------------------------------------------------------------------


def test_blocks_follow_each_other_and_are_what_decode_gives(wav):
    path, _ = wav(30000, rate=44100)
    blocks = list(blocks_of(path))
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert np.concatenate([block.samples for block in blocks]).tolist() == decode(path, RATE).tolist()
    assert not any(block.gap for block in blocks)
    assert all(block.samples.base is None for block in blocks)
    assert max(len(block.samples) for block in blocks) <= 0.25 * RATE


def test_sample_i_is_captured_i_over_rate_after_the_opening(wav):
    path, _ = wav(10 * RATE)
    before = time.time()
    blocks = list(blocks_of(path))
    opened_at = blocks[0].ended_at - blocks[0].stop / RATE
    assert before <= opened_at <= time.time()
    for block in blocks:
        assert block.ended_at == pytest.approx(opened_at + block.stop / RATE, abs=1e-5)


def test_in_real_time_no_block_comes_before_its_last_sample(wav):
    path, _ = wav(RATE // 2)
    for block in blocks_of(path, pace="realtime"):
        assert time.time() >= block.ended_at - 0.005


def test_a_pause_in_real_time_does_not_keep_anybody_from_stopping(wav):
    path, _ = wav(60 * RATE)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert sum(len(block.samples) for block in blocks_of(path, pace="realtime", stop=stop)) < 30 * RATE


def test_a_fast_replay_stops_when_told(wav):
    path, _ = wav(10 * RATE)
    stop = threading.Event()
    blocks = blocks_of(path, stop=stop)
    next(blocks)
    stop.set()
    assert list(blocks) == []


def test_zeros_of_8_seconds_in_real_time_are_offline_until_the_next_sound(tmp_path, caplog):
    audio = np.concatenate([np.full(RATE, 0.5), np.zeros(10 * RATE), np.full(RATE, 0.5)])
    soundfile.write(tmp_path / "a.wav", audio, RATE)
    status, stop = SourceStatus("file"), threading.Event()
    stop.wait = lambda _: False  # time flies
    offline = {
        round(block.stop / RATE, 1)
        for block in blocks_of(tmp_path / "a.wav", pace="realtime", status=status, stop=stop)
        if status.offline
    }
    assert (min(offline), max(offline)) == (pytest.approx(9, abs=0.11), pytest.approx(11, abs=0.11))
    assert [line.getMessage() for line in caplog.records] == [
        "source file is offline: nothing but digital silence for 8 s: is it muted?",
        "source file is online again",
    ]
    list(blocks_of(tmp_path / "a.wav", status=status))
    assert not status.offline
    assert len(caplog.records) == 2


# --- damage -------------------------------------------------------------------------------------


def damaged(path, start, length):
    data = bytearray(path.read_bytes())
    data[start : start + length] = np.random.default_rng(0).bytes(length)
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "subtype"), [("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")])
def test_damage_in_the_middle_is_a_gap_that_is_counted(wav, name, subtype):
    path, _ = wav(44100 * 4, rate=44100, name=name, subtype=subtype)
    whole = len(decode(path, 44100))
    damaged(path, path.stat().st_size // 2, 3000)
    status = SourceStatus("file")
    blocks = list(blocks_of(path, rate=44100, status=status))
    assert any(block.gap for block in blocks)
    assert not blocks[0].gap
    assert 0 < status.lost < whole / 2
    if name == "a.ogg":  # its time stamps tell exactly
        assert blocks[-1].stop + status.lost == pytest.approx(whole, abs=2)


def test_a_file_that_is_cut_off_ends_there(wav):
    path, audio = wav(RATE)
    path.write_bytes(path.read_bytes()[: 44 + 1000])
    assert decode(path, RATE).tolist() == audio[:500, 0].tolist()


def test_a_change_of_rate_in_the_middle_is_followed(tmp_path, wav):
    path, _ = wav(44100, rate=44100, name="a.mp3", subtype="MPEG_LAYER_III")
    other, _ = wav(48000, rate=48000, name="b.mp3", subtype="MPEG_LAYER_III")
    both = tmp_path / "both.mp3"
    both.write_bytes(path.read_bytes() + other.read_bytes())
    assert len(decode(both, 16000)) == pytest.approx(32000, abs=2000)


# --- what is no audio ---------------------------------------------------------------------------


def refused(path, error=SourceError, channel=None):
    with pytest.raises(error) as raised:
        list(blocks_of(path, channel=channel))
    assert type(raised.value) is error
    text = str(raised.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_a_missing_file_is_said(tmp_path):
    assert refused(tmp_path / "none.wav") == "No such file or directory"


def test_a_directory_is_said(tmp_path):
    assert refused(tmp_path) == "Is a directory"


def test_a_file_that_may_not_be_read_is_said(wav):
    path, _ = wav(10)
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        assert refused(path) == "Permission denied"
    finally:
        os.seteuid(os.getuid())


@pytest.mark.parametrize(
    "content",
    [b"", b"hello world\n" * 99, np.random.default_rng(0).bytes(9999), b"RIFF\0\0\0\0WAVE"],
    ids=len,
)
@pytest.mark.parametrize("name", ["a.txt", "a.wav", "a.mp3"])
def test_a_file_that_is_no_sound_is_said(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, NotAudioError)


WAY_OUT = "use FFmpeg"


def test_a_pipe_is_refused_at_once_with_the_way_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")  # nobody writes to it: to open it would take for ever
    words = refused(tmp_path / "pipe.wav")
    assert "is a pipe, which can only be read once" in words
    assert WAY_OUT in words


def test_a_pipe_that_somebody_writes_to_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    reader = os.open(tmp_path / "pipe.wav", os.O_RDONLY | os.O_NONBLOCK)
    with (tmp_path / "pipe.wav").open("wb", buffering=0) as writer:
        writer.write(b"RIFF")
        assert WAY_OUT in refused(tmp_path / "pipe.wav")
        assert os.read(reader, 9) == b"RIFF"
    os.close(reader)


def test_what_a_shell_substitutes_is_refused_with_the_way_out():
    reader, writer = os.pipe()
    try:
        assert WAY_OUT in refused(Path(f"/dev/fd/{reader}"))
    finally:
        os.close(reader)
        os.close(writer)


def test_a_socket_or_a_device_is_refused_with_the_way_out(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert "is a socket" in refused(tmp_path / "socket")
    for device in ("/dev/zero", "/dev/null", "/dev/urandom", "/dev/tty"):
        words = refused(Path(device))
        assert words.startswith("is a device")
        assert WAY_OUT in words


def test_a_link_to_a_file_is_that_file(tmp_path, wav):
    path, audio = wav(100)
    (tmp_path / "link").symlink_to(path)
    assert decode(tmp_path / "link", RATE).tolist() == audio[:, 0].tolist()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refused(tmp_path / "loop") == "Too many levels of symbolic links"


def test_a_film_without_sound_is_said(tmp_path):
    path = tmp_path / "film.mkv"
    write_film(path, with_sound=False)
    assert refused(path, NotAudioError) == "contains no audio"


def test_a_file_of_0_seconds_is_said(wav):
    path, _ = wav(0)
    assert refused(path, NotAudioError) == "contains 0 seconds of audio"


def test_a_channel_that_is_not_there_is_said(wav):
    path, _ = wav(10, 2)
    assert refused(path, channel=3) == "has 2 channels, so no channel 3"


def test_decode_refuses_the_same_files(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        decode(tmp_path / "none.wav", RATE)
