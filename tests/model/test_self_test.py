import numpy as np
import pytest

from monitor.model.self_test import refuse_collapse, refuse_non_finite, sounds
from monitor.types import ModelError


def test_the_three_sounds_are_a_tone_noise_and_clicks():
    tone, noise, clicks = sounds(48_000, 48_000)
    spectrum = np.abs(np.fft.rfft(tone))
    assert spectrum.argmax() == 1000
    assert spectrum[1000] > 100 * np.delete(spectrum, 1000).max()
    assert np.std(noise) == pytest.approx(0.1, rel=0.02)
    assert np.flatnonzero(clicks).tolist() == [0, 12_000, 24_000, 36_000]


def test_different_embeddings_pass():
    refuse_collapse(np.eye(3, dtype=np.float32), "x")


def test_two_sounds_that_are_one_to_the_model_are_named():
    vectors = np.eye(3, dtype=np.float32)
    vectors[1] = vectors[0]
    with pytest.raises(
        ModelError, match=r"^x: cannot tell sounds apart .*tone and noise 1\.000, tone and clicks 0\.000"
    ):
        refuse_collapse(vectors, "x")


def test_an_embedding_that_is_no_number_is_refused():
    with pytest.raises(ModelError, match="the output in float16 is not finite"):
        refuse_non_finite(np.array([[1.0, np.nan]], dtype=np.float32), "x", "float16")
