import numpy as np
import pytest

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.sources.ffmpeg.live_edge import LiveEdge, TimeStamps, rested

RATE = 10


def delays(*arrivals, rate=RATE):
    """Return the delays of seconds of audio that arrive at these times after the opening."""
    edge = LiveEdge(rate, opened_at=100.0)
    return [edge.delay_of(round(seconds * rate), 100.0 + at) for at, seconds in arrivals]


def test_live_audio_is_passed_on_at_once():
    assert delays(*((second, 1) for second in range(1, 50))) == [0.0] * 49


def test_a_backlog_of_the_server_is_dropped():
    stored = [(0.1, 0.2)] * 50
    assert delays(*stored)[:3] == [0.0, 0.0, 0.0]
    assert delays(*stored)[3:] == [None] * 47
    live = [(0.1 + second / 10, 0.1) for second in range(1, 100)]
    assert set(delays(*stored, *live)[50:]) == {0.0}


def test_delayed_audio_is_not_dropped():
    before = [(second, 1) for second in range(1, 10)]
    held_up = [(13.9, 1)] * 4
    assert delays(*before, *held_up, (14, 1)) == [0.0] * 14


def test_a_file_is_read_in_real_time_once_half_a_minute_of_it_was_dropped():
    answers = delays(*[(0.0, 1)] * 40)
    assert answers[:30] == [None] * 30
    assert answers[30:33] == pytest.approx([0.5, 1.5, 2.5])


def test_audio_of_a_camera_with_a_fast_clock_is_never_dropped():
    day = ((second, 1.001) for second in range(1, 86_400, 60))
    assert set(delays(*day, rate=48_000)) == {0.0}


def gaps(*stamps, seconds=1.0):
    found = TimeStamps()
    return [found.missing(at, seconds) for at in stamps]


def test_frames_that_follow_each_other_are_whole():
    assert gaps(5, 6, 7, 8) == [(False, 0)] * 4


def test_the_next_frame_shows_what_is_missing():
    assert gaps(5, 6, 9, 10) == [(False, 0), (False, 0), (True, 2), (False, 0)]


@pytest.mark.parametrize("step", [-100, -1, 3600])
def test_a_restart_is_a_gap_of_unknown_length(step):
    assert gaps(5, 6, 7 + step, 8 + step) == [(False, 0), (False, 0), (True, 0), (False, 0)]


def test_jitter_is_no_gap():
    assert gaps(*(second + 0.09 * (-1) ** second for second in range(1000))) == [(False, 0)] * 1000


def test_drift_is_no_gap():
    assert gaps(*(second * 1.001 for second in range(10_000))) == [(False, 0)] * 10_000


def test_without_time_stamps_there_are_no_gaps():
    assert gaps(None, None, 7, None, 8) == [(False, 0)] * 5


class Clock:
    """A clock that also is the event somebody waits for: time passes while he does."""

    def __init__(self):
        self.time = 0.0
        self.rests = []

    def __call__(self):
        return self.time

    def wait(self, seconds):
        self.rests.append(round(self.time, 2))
        self.time += seconds


def arriving(clock, *times):
    """Yield a block of a second at each of these times, or later if it is asked for later."""
    for time in times:
        clock.time = max(clock.time, time)
        yield CapturedAudio(np.zeros(RATE, np.float32), RATE)


@pytest.mark.parametrize(
    ("arrivals", "rests"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([1, 1, 1, 1, 2, 3], [1, 2, 3]),
        ([1, 2, 4.5, 4.5, 5, 6], [1, 2, 5, 6]),
    ],
    ids=["live", "a backlog first", "held up"],
)
def test_between_the_blocks_of_a_live_stream_nothing_is_read_and_a_backlog_is_read_at_once(arrivals, rests):
    clock = Clock()
    blocks = list(rested(arriving(clock, *arrivals), 1.0, clock, clock))
    assert len(blocks) == len(arrivals)
    assert clock.rests == rests


def test_a_reader_on_a_busy_machine_rests_for_less_and_does_not_fall_behind():
    clock, late = Clock(), []
    for number, _ in enumerate(rested(arriving(clock, *range(100)), 1.0, clock, clock)):
        late.append(clock.time - number)
        clock.time += 0.7  # what a block takes
    assert max(late) < 0.1
    assert len(clock.rests) > 90
