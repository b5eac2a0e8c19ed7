"""Sounds that a source does not make at that time of day are found, and those that it does are not."""

from types import SimpleNamespace

import numpy as np
import pytest

from monitor.detection.alarm_rate import NoThreshold
from monitor.detection.cohort_norm import measure_cohort
from monitor.detection.nearest_neighbours import coreset, distances, thinned, whitening
from monitor.memory.memory_reader import MemoryReader
from monitor.memory.unusual_windows import neighbours_in, spans_before, unusual_distances
from tests.support.remembered import remember

WINDOWS = SimpleNamespace(identity="model", rate=100, length=1000, hop=1000)
"""One every ten seconds."""

MIDNIGHT = 1_795_392_000.0
WHITEN = whitening(None)
HOUR, DAY = 3_600.0, 86_400.0


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def room(days, seed=1):
    """A room that sounds otherwise every hour, the same every day, with noise."""
    random = np.random.default_rng(seed)
    hours = np.eye(32)[np.arange(days * 8_640) // 360 % 24]
    return unit(hours + 0.08 * random.normal(size=(len(hours), 32)))


@pytest.fixture
def reader(tmp_path):
    """Three days; on the last a foreign sound at noon, and the sound of midnight at six o'clock."""
    rows = room(3)
    noon, six = 2 * 8_640 + 12 * 360, 2 * 8_640 + 6 * 360 + 100
    rows[noon : noon + 3] = unit(np.eye(32)[[30, 30, 30]])
    rows[six : six + 2] = unit(np.eye(32)[[0, 0]])
    remember(tmp_path, WINDOWS, rows, since=MIDNIGHT)
    return MemoryReader(tmp_path, "model")


def test_what_was_never_heard_and_what_is_not_heard_at_that_hour_is_found(reader):
    found = unusual_distances(reader, "crib", MIDNIGHT + 2 * DAY, MIDNIGHT + 3 * DAY, WHITEN)
    threshold = found.threshold(1 / 24)
    assert threshold.hours == pytest.approx(24, abs=0.01)
    night, noon = sorted(found.moments(threshold.threshold), key=lambda moment: -moment.distance)[:2]
    assert {round((each.peak_at - MIDNIGHT - 2 * DAY) / HOUR) for each in (night, noon)} == {6, 12}
    assert noon.source == "crib"
    assert min(night.distance, noon.distance) > 0.5
    assert len(found.moments(threshold.threshold)) <= 5
    assert found.moments(1.5) == []


def test_neighbours_are_of_that_time_of_day_without_the_newest(reader):
    rows = neighbours_in(reader, "crib", spans_before(MIDNIGHT + 2 * DAY + 12 * HOUR))
    assert set(rows.argmax(axis=1).tolist()) == {11, 12, 13}
    # Two days of three hours, and fifty minutes of today.
    assert len(rows) == pytest.approx(2 * 3 * 360 + 300, abs=4)


def test_where_nothing_can_be_compared_nothing_is_said(reader):
    assert unusual_distances(reader, "crib", MIDNIGHT, MIDNIGHT + HOUR, WHITEN) is None
    assert unusual_distances(reader, "attic", MIDNIGHT, MIDNIGHT + HOUR, WHITEN) is None
    short = unusual_distances(reader, "crib", MIDNIGHT + 2 * DAY, MIDNIGHT + 2 * DAY + HOUR, WHITEN)
    assert isinstance(short.threshold(1 / 24), NoThreshold)


def test_a_coreset_holds_what_is_usual_and_what_is_rare():
    rows = room(1)
    rows[1234] = unit(np.eye(32)[30])
    chosen = coreset(rows, 512)
    assert chosen.shape == (512, 32)
    assert distances(rows[1234:1235], chosen)[0] == pytest.approx(0, abs=1e-6)
    assert np.quantile(distances(rows, chosen), 0.99) < np.quantile(distances(rows, rows[:512]), 0.5)
    assert coreset(rows[:100], 512).shape == (100, 32)


def test_distances_go_from_the_same_to_the_unlike():
    same, unlike = np.eye(3, dtype=np.float32)[:2], -np.eye(3, dtype=np.float32)[:1]
    assert distances(same, same).tolist() == [0, 0]
    assert distances(unlike, same).tolist() == [1]


def test_many_windows_are_thinned_evenly():
    rows = np.arange(10)[:, None].astype(np.int16)
    assert thinned(rows, 4)[:, 0].tolist() == [0, 3, 6, 9]
    assert len(thinned(rows, 10)) == 10


def test_whitened_embeddings_are_as_wide_in_every_direction():
    random = np.random.default_rng(1)
    rows = unit(np.eye(32)[0] + random.normal(size=(4_000, 32)) * np.linspace(0.02, 0.3, 32))
    whitened = whitening(measure_cohort(rows, 31))(rows)
    assert np.linalg.norm(whitened, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(whitened.mean(axis=0)).max() < 0.1
    wide, was = np.linalg.eigvalsh(np.cov(whitened.T)), np.linalg.eigvalsh(np.cov(rows.T))
    assert wide[-1] / np.median(wide) < 2 < was[-1] / np.median(was)
