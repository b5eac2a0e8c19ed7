"""Whatever a file or a stream holds: sound, or one error of its own; nothing else, no hang, no memory."""

import contextlib
import io
import struct
import threading
import tracemalloc

import av
import numpy as np
import pytest
import soundfile

from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.ffmpeg import decode, open_file
from monitor.audio.sources.ffmpeg.container import RATES
from monitor.audio.sources.source_context import SourceContext
from monitor.config import SourceConfig
from monitor.types import NotAudioError, SourceError
from tests.support.broker import eventually
from tests.support.http_radio import Radio
from tests.support.network_stream import Listener
from tests.support.odd_media import encoded, ogg, with_rate
from tests.support.rtsp import tone

RATE = 16_000
MEGABYTES = 1 << 20


# --- what a header claims -----------------------------------------------------------------------


def wav(samples, *, rate=RATE, channels=1, bits=16):
    """Return a WAV file whose header claims anything."""
    data, width = samples.tobytes(), bits // 8
    per_second = min(2**32 - 1, rate * channels * width)
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, per_second, channels * width & 0xFFFF, bits)
    head = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(head) + len(data)) + head + data


@pytest.fixture
def refused(tmp_path):
    """Say why a file is refused, and see that it takes neither memory nor more than a line."""

    def why(content, name="odd.wav"):
        path = tmp_path / name
        path.write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(SourceError) as raised:
                decode(path, 48_000)
            assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTES
        finally:
            tracemalloc.stop()
        assert str(raised.value).isprintable()
        return str(raised.value).removeprefix(f"{path}: ")

    return why


@pytest.mark.parametrize("rate", [1, 2, 10, 50, 100, RATES[0] - 1, RATES[-1] + 1, 10_000_000, 2**31 - 1])
@pytest.mark.parametrize("name", ["wav", "mkv"])
def test_a_rate_that_no_sound_has_is_refused_before_anything_is_made_of_it(refused, name, rate):
    content = with_rate(encoded(name, seconds=60.0), rate)
    assert f"claims {rate} Hz" in refused(content, f"odd.{name}") or rate > RATES[-1]


def test_the_rate_of_an_aiff_file_is_refused_as_well(refused):
    aiff = io.BytesIO()
    soundfile.write(aiff, tone(60, 100), 100, format="AIFF", subtype="PCM_16")
    assert "claims 100 Hz" in refused(aiff.getvalue(), "odd.aiff")


@pytest.mark.parametrize("channels", [65, 255, 512, 1000, 65535])
def test_channels_that_no_sound_has_are_refused(refused, channels):
    assert refused(wav(np.zeros(65535 * 4, np.int16), channels=channels))


@pytest.mark.parametrize("rate", [RATES[0], 192_000, 384_000, RATES[-1]])
def test_rare_rates_are_heard(tmp_path, rate):
    (tmp_path / "a.wav").write_bytes(wav((tone(1, rate, 100) * 30_000).astype("<i2"), rate=rate))
    assert len(decode(tmp_path / "a.wav", RATE)) == RATE


@pytest.mark.parametrize("channels", [1, 2])
def test_64_bit_integers_are_heard(tmp_path, channels):
    samples = np.repeat((tone(1, RATE) * 2**63).astype("<i8"), channels)
    (tmp_path / "a.wav").write_bytes(wav(samples, channels=channels, bits=64))
    np.testing.assert_allclose(decode(tmp_path / "a.wav", RATE), tone(1, RATE), atol=1e-6)


def test_a_double_that_no_float_can_hold_is_infinite(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([0.5, 1e300, -1e300]), RATE, subtype="DOUBLE")
    assert decode(tmp_path / "a.wav", RATE).tolist() == [0.5, np.inf, -np.inf]


# --- what changes on the way --------------------------------------------------------------------


CHAINS = {
    "vorbis, another rate": (ogg(48_000, 1, "VORBIS"), ogg(44_100, 1, "VORBIS")),
    "vorbis, more channels": (ogg(48_000, 1, "VORBIS"), ogg(48_000, 2, "VORBIS")),
    "vorbis, fewer channels": (ogg(48_000, 2, "VORBIS"), ogg(48_000, 1, "VORBIS")),
    "opus, more channels": (ogg(48_000, 1, "OPUS"), ogg(48_000, 2, "OPUS")),
    "vorbis, then opus": (ogg(44_100, 1, "VORBIS"), ogg(48_000, 2, "OPUS")),
    "vorbis, then flac": (ogg(44_100, 1, "VORBIS"), encoded("ogg")),
    "flac, another rate": (encoded("ogg"), encoded("ogg", rate=44_100)),
    "three": (ogg(48_000, 1, "VORBIS"), ogg(22_050, 2, "VORBIS"), ogg(8_000, 1, "OPUS")),
    "aac, another rate": (encoded("aac"), encoded("aac", rate=22_050, layout="mono")),
    "mp3, another rate": (encoded("mp3"), encoded("mp3", rate=24_000, layout="mono")),
    "ts, another rate": (encoded("ts"), encoded("ts", rate=32_000, layout="mono")),
    "the same": (ogg(48_000, 1, "VORBIS"),) * 2,
}


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_a_file_whose_rate_or_channels_change_is_heard_to_its_end(tmp_path, chain):
    (tmp_path / "chain").write_bytes(b"".join(chain))
    heard = decode(tmp_path / "chain", RATE)
    assert len(heard) / RATE == pytest.approx(2 * len(chain), abs=0.2)
    for at in np.arange(0.5, 2 * len(chain), 2):
        part = heard[round(at * RATE) :][:RATE]
        assert np.argmax(np.abs(np.fft.rfft(part))) == pytest.approx(440, abs=2)


def test_a_damaged_chain_is_left_out_and_the_next_one_heard(tmp_path, caplog):
    first, last = ogg(48_000, 1, "VORBIS"), ogg(44_100, 1, "VORBIS")
    damaged = bytearray(ogg(22_050, 1, "VORBIS"))
    damaged[58:] = bytes(len(damaged) - 58)
    (tmp_path / "chain.ogg").write_bytes(first + bytes(damaged) + last)
    status = SourceStatus("file")
    blocks = list(_blocks(tmp_path / "chain.ogg", status))
    assert blocks[-1].stop / RATE == pytest.approx(4, abs=0.1)
    assert sum(block.gap for block in blocks) == 1
    assert len(caplog.records) == 1


def _blocks(path, status, **options):
    config = SourceConfig(name="file", kind="file", path=path, pace="fast", **options)
    return open_file(config, SourceContext(RATE, status, threading.Event()))


def test_a_channel_that_is_missing_for_a_while_is_a_gap(tmp_path):
    parts = (encoded("aac"), encoded("aac", layout="mono"), encoded("aac"))
    (tmp_path / "a.aac").write_bytes(b"".join(parts))
    status = SourceStatus("file")
    blocks = list(_blocks(tmp_path / "a.aac", status, channel=2))
    assert blocks[-1].stop / RATE == pytest.approx(4, abs=0.2)
    assert status.lost / RATE == pytest.approx(2, abs=0.2)
    assert sum(block.gap for block in blocks) == 1


def test_time_stamps_that_nobody_can_believe_lose_nothing(tmp_path):
    content = io.BytesIO()
    with av.open(content, "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.ones((1, 1600), np.int16), format="s16", layout="mono")
            frame.sample_rate = RATE
            for packet in sound.encode(frame):
                packet.pts = packet.dts = number * 1600 + (number > 10) * 10**13
                container.mux(packet)
    (tmp_path / "a.mkv").write_bytes(content.getvalue())
    status = SourceStatus("file")
    blocks = list(_blocks(tmp_path / "a.mkv", status))
    assert blocks[-1].stop == 20 * 1600
    assert sum(block.gap for block in blocks) == 1
    assert status.lost == 0


def test_a_header_that_cannot_be_read_says_so(tmp_path):
    """FFmpeg's own words, such as "Operation not permitted", would lead astray."""
    aiff = struct.pack(">hIh", 1, 2**32 - 1, 16) + bytes.fromhex("400cfa00000000000000")
    aiff = b"FORM" + struct.pack(">I", 46 + 2000) + b"AIFFCOMM" + struct.pack(">I", 18) + aiff
    aiff += b"SSND" + struct.pack(">III", 2008, 0, 0) + bytes(2000)
    whole = encoded("ogg")
    for content, words in (
        (aiff, "FFmpeg cannot read its header: "),
        (whole[:60], "ends before its first sample"),
    ):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(NotAudioError, match=words):
            decode(tmp_path / "a", RATE)


# --- tracks -------------------------------------------------------------------------------------


def two_tracks(form="matroska", default=(1,)):
    """Return a film with a tone of 440 Hz in its first audio track, and one of 1,000 Hz in the second."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width, film.height, film.pix_fmt = 32, 32, "yuv420p"
        codec = "pcm_s16le" if form == "matroska" else "aac"
        tracks = [container.add_stream(codec, rate=RATE, layout="mono") for _ in range(2)]
        for number, track in enumerate(tracks):
            track.disposition = av.stream.Disposition.default if number in default else 0
        for place in range(0, 2 * RATE, 1600):
            for track, hertz in zip(tracks, (440, 1000), strict=True):
                samples = (tone(2, RATE, hertz)[place : place + 1600] * 30_000).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, place
                container.mux(track.encode(frame))
            container.mux(film.encode(av.VideoFrame(32, 32, "yuv420p")))
        for each in (film, *tracks):
            container.mux(each.encode(None))
    return file.getvalue()


def hertz(blocks):
    samples = np.concatenate([block.samples for block in blocks])[:RATE]
    return int(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


@pytest.mark.parametrize(
    ("default", "track", "expected"),
    [
        ((1,), None, 1000),
        ((0,), None, 440),
        ((), None, 440),
        ((0, 1), None, 440),
        ((1,), 1, 440),
        ((0,), 2, 1000),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["matroska", "mp4"])
def test_the_track_that_is_marked_default_is_heard_or_the_one_that_is_asked_for(
    tmp_path, form, default, track, expected
):
    (tmp_path / "film").write_bytes(two_tracks(form, default))
    got = hertz(list(_blocks(tmp_path / "film", SourceStatus("file"), track=track)))
    if (form, default) != ("mp4", ()):  # of which a muxer marks one
        assert got == pytest.approx(expected, abs=4)


def test_a_track_that_is_not_there_is_said(tmp_path):
    (tmp_path / "film.mkv").write_bytes(two_tracks())
    with pytest.raises(NotAudioError, match="has 2 audio tracks, so no track 3"):
        list(_blocks(tmp_path / "film.mkv", SourceStatus("file"), track=3))


@pytest.mark.parametrize(("track", "expected"), [(None, 1000), (1, 440)])
def test_a_stream_has_tracks_as_well(track, expected):
    with Radio("mkv", content=(two_tracks(), 2.0)) as radio, Listener(radio.url(), track=track) as listener:
        listener.wait_until_heard(1)
    assert hertz(listener.blocks) == pytest.approx(expected, abs=4)


# --- streams that turn into something else ------------------------------------------------------


SOUND, PICTURES = 8, 9
"""Kinds of FLV tags."""


def flv_tags(content):
    """Split an FLV file into its header and its tags."""
    place, tags = 13, []
    while place + 15 <= len(content):
        size = 15 + int.from_bytes(content[place + 1 : place + 4])
        tags.append(content[place : place + size])
        place += size
    return content[:13], tags


def flv(first, then, *, at=20.0):
    """Return an FLV file of tags of these kinds up to so many seconds, and of those for ten seconds more.

    FFmpeg looks at the first seconds when it opens one, so what comes later comes as a surprise.
    """
    head, tags = flv_tags(encoded("flv", pictures=True, seconds=at + 10))

    def kept(tag):
        late = int.from_bytes(tag[4:7]) > 1000 * at
        return tag[0] in (then if late else first)

    flags = (4 if SOUND in first else 0) | (1 if PICTURES in first else 0)
    return head[:4] + bytes([flags]) + head[5:] + b"".join(tag for tag in tags if kept(tag))


def without_stamps():
    head, tags = flv_tags(encoded("flv", seconds=4.0))
    return head + b"".join(tag[:4] + bytes(4) + tag[8:] for tag in tags)


TURNS = {
    "a track gained": flv({SOUND}, {SOUND, PICTURES}),
    "a track lost": flv({SOUND, PICTURES}, {SOUND}),
    "sound lost": flv({SOUND, PICTURES}, {PICTURES}),
    "sound gained": flv({PICTURES}, {SOUND, PICTURES}, at=1.0),
    "a track gained at once": flv({SOUND}, {SOUND, PICTURES}, at=1.0),
    "pictures in place of sound": flv({SOUND}, {PICTURES}),
    "pictures gained in TS": encoded("ts", seconds=30.0) + encoded("ts", pictures=True),
    "sound gained in TS": encoded("ts", pictures=True) + two_tracks("mpegts"),
    "parameters changed": b"".join(CHAINS["aac, another rate"]),
    "another codec": encoded("flv") + encoded("flv", rate=22_050, layout="mono")[13:],
    "another container": encoded("flv") + encoded("mkv") + encoded("mp3"),
    "an Ogg chain": b"".join(CHAINS["vorbis, another rate"]),
    "truncated": encoded("flv", pictures=True)[:-777],
    "no time stamps": without_stamps(),
    "planar, then packed": encoded("mp3") + encoded("mp3", rate=24_000, layout="mono"),
}


@pytest.mark.parametrize("content", TURNS.values(), ids=TURNS)
def test_a_file_that_turns_into_something_else_is_heard_or_refused(tmp_path, content):
    (tmp_path / "turn").write_bytes(content)
    heard = 0
    with contextlib.suppress(SourceError):
        for block in _blocks(tmp_path / "turn", SourceStatus("file")):
            heard = block.stop
    assert heard > RATE / 2


@pytest.mark.parametrize("content", TURNS.values(), ids=TURNS)
def test_a_stream_that_turns_into_something_else_and_ends_is_offline_until_it_is_back(content):
    with Radio("flv", content=(content, 2.0)) as radio, Listener(radio.url()) as listener:
        eventually(lambda: len(radio.requests) > 1 and listener.status.offline_text is not None)
        radio.content, radio.seconds = encoded("flv", seconds=30.0), 30.0
        heard = listener.seconds
        listener.wait_until_heard(heard + 0.5)
    assert listener.error is None


@pytest.mark.parametrize("name", ["aac, another rate", "mp3, another rate"])
def test_a_stream_whose_rate_changes_is_heard_on_over_the_same_connection(name):
    first, then = CHAINS[name]
    with Radio("mp3", content=(first + then, 4.0)) as radio, Listener(radio.url()) as listener:
        listener.wait_until_heard(3.3)
        assert len(radio.requests) == 1
    assert any(block.gap for block in listener.blocks)
    assert hertz(listener.blocks[-13:]) == pytest.approx(440, abs=10)
