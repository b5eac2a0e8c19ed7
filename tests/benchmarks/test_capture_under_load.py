"""The benchmark must see what it is there to see."""

import numpy as np
import pytest

from benchmarks.capture_under_load import Comparison, compare, sequence

PLAYED = sequence(0.01)
SILENCE = np.zeros(50, dtype=np.int16)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ([PLAYED], Comparison(captured=480)),
        ([SILENCE, PLAYED, SILENCE], Comparison(captured=480)),
        ([PLAYED[:100], SILENCE, PLAYED[100:]], Comparison(captured=480, inserted=50)),
        ([PLAYED[:100], PLAYED[130:]], Comparison(captured=450, missing=30)),
        ([PLAYED[:100], SILENCE, PLAYED[130:]], Comparison(captured=450, missing=30, inserted=50)),
        ([SILENCE, PLAYED[7:]], Comparison(captured=473, missing=7)),
        ([PLAYED[:-9], SILENCE], Comparison(captured=471, missing=9)),
        ([PLAYED[:100], PLAYED[100:101] + 1, PLAYED[101:]], Comparison(captured=479, missing=1, wrong=1)),
        ([SILENCE], Comparison(missing=480)),
    ],
)
def test_what_was_lost_let_in_or_changed_is_found(heard, expected):
    assert compare(PLAYED, np.concatenate(heard)) == expected


def test_every_8_samples_tell_where_they_belong():
    long = sequence(20)
    keys = np.lib.stride_tricks.sliding_window_view(long, 4).copy().view(np.int64)
    assert len(np.unique(keys)) == len(keys)
    assert long.all()
