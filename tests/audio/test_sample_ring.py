"""Sample ring: the newest samples are exact, and older ones are what a file of 16 bits would hold."""

import numpy as np
import pytest

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.outputs.clips.encoding import encode
from tests.support.ramps import RATE, blocks_of

NOISE = np.random.default_rng(5).uniform(-1.0, 1.0, 900).astype(np.float32)


def filled(audio, size):
    buffer = RingBuffer(512, RATE, exact=100)
    for block in blocks_of(audio, size):
        buffer.append(block)
    return buffer


@pytest.mark.parametrize("size", [1, 7, 100, 256])
def test_the_newest_samples_are_exact_and_the_older_within_half_a_step_of_16_bits(size):
    buffer = filled(NOISE, size)
    assert np.array_equal(buffer.read(800, 900, exact=True), NOISE[800:])
    assert np.abs(buffer.read(388, 900) - NOISE[388:]).max() <= 0.5001 / 32768


def test_exact_audio_is_never_replaced_by_rounded_audio():
    with pytest.raises(OverrunError, match="sample 799 is gone, the oldest is 800"):
        filled(NOISE, 50).read(799, 850, exact=True)


def test_a_clip_of_older_audio_is_the_same_file_as_one_of_exact_audio():
    assert encode(filled(NOISE, 50).read(400, 800), 8000, "flac") == encode(NOISE[400:800], 8000, "flac")


def test_older_samples_that_are_no_sound_become_silence_or_full_scale():
    full = 32767 / 32768
    audio = np.zeros(900, np.float32)
    audio[500:504] = np.nan, np.inf, -np.inf, 2.5
    assert filled(audio, 90).read(500, 504).tolist() == [0.0, full, -1.0, full]
    audio[890] = np.nan
    assert np.isnan(filled(audio, 90).read(890, 891, exact=True))
