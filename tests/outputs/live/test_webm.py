"""WebM with Opus: what goes in comes out again, in pieces of any size."""

import io

import av
import numpy as np
import pytest

from monitor.outputs.live.webm import WebmStream

RATE = 32_000


def decoded(stream):
    with av.open(io.BytesIO(stream)) as container:
        (track,) = container.streams
        assert (track.codec_context.name, track.codec_context.channels) == ("opus", 1)
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(track)])


def tone(seconds, hertz):
    return (0.3 * np.sin(2 * np.pi * hertz / RATE * np.arange(round(seconds * RATE)))).astype(np.float32)


@pytest.mark.parametrize("block", [1, 331, 3200, 32_000])
def test_blocks_of_any_size_sound_the_same(block):
    samples, stream = tone(2.0 if block > 1 else 0.3, 1000), WebmStream(RATE)
    parts = [stream.add(samples[at : at + block]) for at in range(0, len(samples), block)]
    heard = decoded(b"".join(parts))
    strongest = np.argmax(np.abs(np.fft.rfft(heard))) * 48_000 / len(heard)
    assert strongest == pytest.approx(1000, abs=5)
    assert np.abs(heard[4800:]).max() == pytest.approx(0.3, abs=0.03)
    assert len(samples) / RATE - len(heard) / 48_000 < 0.2


def test_no_audio_waits_for_later_audio():
    stream = WebmStream(RATE)
    parts = [stream.add(tone(0.1, 440)) for _ in range(20)]
    assert all(parts)
    for heard in range(5, 20):
        assert len(decoded(b"".join(parts[:heard]))) / 48_000 > 0.1 * heard - 0.25
