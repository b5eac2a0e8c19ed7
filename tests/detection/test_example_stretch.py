"""Example stretch: of a recording the windows count in which the sound is loudest."""

import numpy as np
import pytest

from monitor.detection.example_stretch import loudest_stretch, window_levels


def test_windows_within_6_db_of_the_loudest_one_are_averaged():
    embeddings = np.eye(4, dtype=np.float32)
    found = loudest_stretch(embeddings, np.array([-50, -21, -20, -27], np.float32))
    assert found == pytest.approx([0, 0.5**0.5, 0.5**0.5, 0])


def test_a_single_window_is_the_example():
    assert loudest_stretch(np.eye(2, dtype=np.float32)[:1], np.array([-90.0])).tolist() == [1, 0]


def test_the_level_of_a_window_is_that_of_all_its_hops():
    hops = np.array([-20, -np.inf, -20, -20], np.float32)
    assert window_levels(hops, 2) == pytest.approx([-20, -23.01, -23.01, -20], abs=0.01)
    assert window_levels(hops, 1)[[0, 2]] == pytest.approx([-20, -20], abs=0.01)
    assert np.isfinite(window_levels(hops, 1)).all()
