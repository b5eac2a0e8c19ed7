"""Search for patterns while frames arrive: what a search of all frames finds, at every step."""

import numpy as np
import pytest

from monitor.detection.temporal_pattern import PATTERNS, PatternSearch

FRAME_SECONDS = 505 / 48_000
KEPT = 1402
BINS = 5


def frames_of(pattern, rate, noise, rng):
    """Half a minute of noise in dB with the beeps of an alarm in its middle, or only noise."""
    frames = rng.normal(0.0, noise, (3000, BINS)).astype(np.float32)
    for cycle in range(4 if pattern is not None else 0):
        for beep in range(pattern.beeps):
            on = 5.0 + rate * (cycle * pattern.cycle + beep * (pattern.on + pattern.off))
            frames[round(on / FRAME_SECONDS) : round((on + rate * pattern.on) / FRAME_SECONDS), 2] += 12.0
    return frames


@pytest.mark.parametrize("pattern", [*PATTERNS, None])
@pytest.mark.parametrize(("rate", "noise"), [(1.0, 1.0), (1.06, 3.0), (0.94, 6.0)])
def test_a_search_while_frames_arrive_finds_what_a_search_of_all_frames_does(pattern, rate, noise):
    rng = np.random.default_rng(11)
    frames, search, stop, found = frames_of(pattern, rate, noise, rng), PatternSearch(FRAME_SECONDS), 0, set()
    while stop < len(frames):
        stop = min(len(frames), stop + int(rng.choice([47, 48, 95, 96])))
        first = max(0, stop - KEPT)
        names = search.search(frames[first:stop], first)
        assert names == PatternSearch(FRAME_SECONDS).search(frames[first:stop], 0)
        found |= names
    assert found == (set() if pattern is None else {pattern.name}) or noise > 1.0
