from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.calibration_scenes import SceneOptions, calibration_scenes

RATE = 16_000
OPTIONS = SceneOptions(scenes=2, quiet_scenes=1, seconds=60.0)


@pytest.fixture(scope="module")
def scenes():
    return list(calibration_scenes(read_kit(), RATE, OPTIONS))


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def test_scenes_have_the_length_asked_for_and_stay_within_full_scale(scenes):
    assert len(scenes) == 3
    for scene in scenes:
        assert scene.samples.dtype == np.float32
        assert len(scene.samples) == 60 * RATE
        assert 0.001 < np.abs(scene.samples).max() < 1.0


def test_events_do_not_overlap_and_lie_within_their_scene(scenes):
    for scene in scenes[:2]:
        assert scene.occurrences[0].onset >= OPTIONS.gaps[0]
        for one, other in pairwise(scene.occurrences):
            assert other.onset - one.offset >= OPTIONS.gaps[0] - 0.001
        assert scene.occurrences[-1].offset <= 60.0


def test_nothing_happens_in_quiet_scenes(scenes):
    assert scenes[2].occurrences == ()


def test_the_same_seed_gives_the_same_scenes_and_another_gives_others(scenes):
    again = next(iter(calibration_scenes(read_kit(), RATE, OPTIONS)))
    assert np.array_equal(again.samples, scenes[0].samples)
    assert again.occurrences == scenes[0].occurrences
    other = next(iter(calibration_scenes(read_kit(), RATE, SceneOptions(seconds=60.0, seed=2))))
    assert other.occurrences != scenes[0].occurrences


def test_another_rate_gives_the_same_events_at_the_same_seconds(scenes):
    faster = next(iter(calibration_scenes(read_kit(), 2 * RATE, OPTIONS)))
    assert len(faster.samples) == 120 * RATE
    for one, other in zip(scenes[0].occurrences, faster.occurrences, strict=True):
        assert (one.label, one.snr_db) == (other.label, other.snr_db)
        assert one.onset == pytest.approx(other.onset, abs=0.001)
        assert one.offset == pytest.approx(other.offset, abs=0.001)


def test_labels_and_levels_take_turns():
    kit = read_kit()
    options = SceneOptions(scenes=4, quiet_scenes=0, seconds=120.0)
    drawn = [event for scene in calibration_scenes(kit, 8_000, options) for event in scene.occurrences]
    pairs = Counter((event.label, event.snr_db) for event in drawn)
    # An event that does not fit into the rest of its scene is left out.
    assert max(pairs.values()) <= 1 + len(drawn) // (3 * len(kit.labels)) + 1
    assert {event.snr_db for event in drawn} == {20.0, 10.0, 5.0}


def test_an_event_is_as_loud_as_its_ratio_says():
    options = SceneOptions(scenes=1, quiet_scenes=0, seconds=60.0, snrs_db=(30.0,))
    [scene] = calibration_scenes(read_kit(), RATE, options)
    quiet = rms(scene.samples[: round(scene.occurrences[0].onset * RATE)])
    for event in scene.occurrences:
        inside = rms(scene.samples[round(event.onset * RATE) : round(event.offset * RATE)])
        assert 20 * np.log10(inside / quiet) == pytest.approx(30.0, abs=5.0)
