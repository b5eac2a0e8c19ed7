"""Minutes: the highest of each label, also of what enough windows agree on; any windows give the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.outputs.store.minute_summary import MinuteSummaries
from tests.support.stored_events import NOON, window


def minutes_of(*windows, votes=None):
    minutes = MinuteSummaries()
    minutes.votes = votes or {}
    return [over for each in windows if (over := minutes.add(each)) is not None] + minutes.finish()


def test_a_minute_is_over_with_the_first_window_of_the_next():
    minutes = MinuteSummaries()
    assert minutes.add(window(NOON + 58, 0.5)) is None
    assert minutes.add(window(NOON + 59, 0.7)) is None
    over = minutes.add(window(NOON + 60, 0.9))
    assert (over.source, over.minute, over.peaks.tolist()) == ("mic", NOON // 60, [140])
    assert [each.peaks.tolist() for each in minutes.finish()] == [[180]]
    assert minutes.finish() == []


def test_sources_have_minutes_of_their_own():
    found = minutes_of(window(NOON, 0.5), window(NOON, 0.7, source="porch"))
    assert [(each.source, each.peaks.tolist()) for each in found] == [("mic", [100]), ("porch", [140])]


def test_another_set_of_labels_begins_the_minute_anew():
    found = minutes_of(window(NOON, 0.5), window(NOON + 1, 0.7, 0.2))
    assert [(each.labels, each.peaks.tolist()) for each in found] == [
        (("dog",), [100]),
        (("dog", "cat"), [140, 40]),
    ]


def test_what_enough_windows_agree_on_is_the_score_that_would_have_been_confirmed():
    values = [0.9, 0.1, 0.1, 0.6, 0.7, 0.1]
    (minute,) = minutes_of(*(window(NOON + i, value) for i, value in enumerate(values)))
    assert minute.agreed.tolist() == [120]
    (minute,) = minutes_of(
        *(window(NOON + i, value) for i, value in enumerate(values)), votes={"dog": (1, 1)}
    )
    assert minute.agreed.tolist() == [180]


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60))
def test_a_minute_is_what_the_whole_of_it_gives(values):
    (minute,) = minutes_of(*(window(NOON + i * 0.9, value) for i, value in enumerate(values)))
    best = max((sorted(values[max(0, i - 2) : i + 1])[-2] for i in range(1, len(values))), default=0.0)
    assert minute.peaks[0] / 200 == pytest.approx(max(values), abs=0.0051)
    assert minute.agreed[0] / 200 == pytest.approx(best, abs=0.0051)
    assert minute.peaks.dtype == np.uint8


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.29, 0.57, 0.58, 0.7, 1.0])
def test_a_score_that_reaches_a_threshold_still_does_when_it_comes_back(threshold):
    (minute,) = minutes_of(window(NOON, np.float32(threshold)))
    assert minute.peaks[0] >= round(threshold * 200)
