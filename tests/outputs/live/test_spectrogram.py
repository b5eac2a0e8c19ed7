"""The spectrogram that is sent: the model's own, whatever the steps."""

import numpy as np
import pytest

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.model.log_mel import log_mel
from monitor.model.mel_config import mel_config_of
from monitor.outputs.live.spectrogram import FLOOR_DB, STEP_DB, SpectrogramColumns, quantised
from monitor.types import AudioBlock

GEOMETRY = mel_config_of(
    {
        "sampling_rate": 8000,
        "max_length_s": 4,
        "fft_window_size": 256,
        "hop_length": 80,
        "frequency_max": 4000,
    }
)
SAMPLES = np.random.default_rng(0).standard_normal(4 * 8000).astype(np.float32) / 4


def read(start, stop):
    return SAMPLES[start:stop]


def whole():
    """Columns of the whole recording at once: the loudest of every five frames."""
    frames = log_mel(SAMPLES, GEOMETRY)[: 4 * 100]
    return quantised(frames.reshape(80, 5, -1).max(axis=1))


@pytest.mark.parametrize("step", [1, 399, 400, 4000, 7001])
def test_any_steps_give_what_the_whole_recording_gives(step):
    painter = SpectrogramColumns(GEOMETRY, read)
    assert painter.samples == 400
    parts = [painter.read(stop)[1] for stop in range(step, len(SAMPLES) + 1, step)]
    painted = np.concatenate(parts)
    assert len(painted) == (len(SAMPLES) // step * step - 128) // 400
    assert np.array_equal(painted, whole()[: len(painted)])


def test_it_says_where_the_columns_start():
    painter = SpectrogramColumns(GEOMETRY, read)
    assert painter.read(1000)[0] == 0
    assert painter.read(2000)[0] == painter.samples * ((1000 - 128) // 400)


def test_after_a_restart_no_column_holds_audio_from_before_it():
    painter = SpectrogramColumns(
        GEOMETRY, lambda start, stop: np.where(np.arange(start, stop) < 4000, 1.0, SAMPLES[start:stop])
    )
    painter.restart(4000)
    start, columns = painter.read(16000)
    assert start >= 4000
    assert np.array_equal(columns, whole()[start // 400 : start // 400 + len(columns)])


def test_audio_that_is_gone_is_said_to_be():
    buffer = RingBuffer(8000, 8000)
    buffer.append(AudioBlock("a", 0, SAMPLES[:8000], 1.0))
    buffer.append(AudioBlock("a", 8000, SAMPLES[8000:16000], 2.0))
    with pytest.raises(OverrunError):
        SpectrogramColumns(GEOMETRY, buffer.read).read(16000)


def test_bytes_are_decibels_above_the_floor_and_never_wrap():
    decibels = np.array([-1e9, FLOOR_DB, FLOOR_DB + STEP_DB, FLOOR_DB + 255 * STEP_DB, 1e9], np.float32)
    assert quantised(decibels).tolist() == [0, 0, 1, 255, 255]
