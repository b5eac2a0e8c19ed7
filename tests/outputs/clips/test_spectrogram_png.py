"""The picture is the model's own log-mel, and a PNG that others can read."""

import numpy as np
import pytest
from matplotlib.image import imread

from monitor.model.log_mel import log_mel
from monitor.outputs.clips.spectrogram_png import MAX_COLUMNS, ROW_PIXELS, palette, png, spectrogram
from tests.support.clip_events import GEOMETRY
from tests.support.events import RATE
from tests.support.png import read_png


def test_pixels_and_colours_come_back():
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    seen, colours = read_png(png(pixels, palette()))
    assert seen.tolist() == pixels.tolist()
    assert colours.tolist() == palette().tolist()


def test_another_program_reads_it(tmp_path):
    (tmp_path / "a.png").write_bytes(png(np.arange(12, dtype=np.uint8).reshape(3, 4), palette()))
    seen = np.round(imread(tmp_path / "a.png")[..., :3] * 255).astype(int)
    assert seen.reshape(-1, 3).tolist() == palette()[:12].tolist()


def test_louder_is_always_lighter():
    lightness = palette() @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness) > 0).mean() > 0.99
    assert lightness[0] < 20
    assert lightness[-1] > 235


def test_a_tone_is_a_line_at_its_height_and_low_sounds_are_at_the_bottom():
    time = np.arange(3 * RATE) / RATE
    tone = np.sin(2 * np.pi * 300 * time).astype(np.float32)
    pixels, _ = read_png(spectrogram(tone, GEOMETRY))
    assert pixels.shape == (GEOMETRY.mel_bins * ROW_PIXELS, 3 * RATE // GEOMETRY.hop)
    mean = log_mel(tone[:RATE], GEOMETRY).mean(axis=0)
    rows = pixels.mean(axis=1)[::ROW_PIXELS]
    assert rows.argmax() == GEOMETRY.mel_bins - 1 - mean.argmax()
    assert rows.argmax() > GEOMETRY.mel_bins / 2


def test_a_click_is_where_it_was_heard():
    samples = np.zeros(5 * RATE, np.float32)
    samples[3 * RATE] = 1.0
    pixels, _ = read_png(spectrogram(samples, GEOMETRY))
    assert abs(pixels.sum(axis=0).argmax() - 3 * RATE // GEOMETRY.hop) <= 512 // GEOMETRY.hop


@pytest.mark.parametrize("n", [0, 1, 100, RATE - 1, RATE + 1, 45 * RATE])
def test_a_clip_of_any_length_has_a_picture(n):
    samples = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    pixels, _ = read_png(spectrogram(samples, GEOMETRY))
    assert 1 <= pixels.shape[1] <= MAX_COLUMNS
