"""Thresholds for a desired rate of false alarms, on sounds whose distribution is known."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import expit

from monitor.detection.alarm_clusters import Heard, clusters_above
from monitor.detection.alarm_rate import AlarmThreshold, Grade, NoThreshold, alarm_threshold
from monitor.detection.pareto_tail import fit_tail
from monitor.detection.rules import Rule
from monitor.detection.start_levels import score_of

HOUR = 3600
NIGHT = 1_800_000_000 // 86_400 * 86_400
"""Unix seconds of a midnight."""


def heard(hours, *, at=None, peaks=None, apart=10.0, first=NIGHT):
    """Return quiet audio with a sound of two windows at some seconds, with these peaks in logits."""
    seconds = int(hours * HOUR)
    random = np.random.default_rng(seconds)
    at = np.sort(random.choice(seconds // 20, seconds // 180, replace=False)) * 20 if at is None else at
    peaks = random.exponential(0.8, len(at)) - 3.0 if peaks is None else peaks
    levels = np.full(seconds, score_of(-6.0), np.float32)
    for place, peak in zip(at, peaks, strict=True):
        levels[place : place + 2] = score_of(float(peak))
    return Heard(first + np.arange(seconds, dtype=np.float64), levels, 1.0, apart)


def test_the_threshold_is_where_the_peaks_are_as_rare_as_wished():
    found = alarm_threshold(heard(72), per_hour=0.5)
    assert isinstance(found, AlarmThreshold)
    # 20 sounds an hour with exponential peaks: one in 40 is to be above the threshold.
    wanted = -3.0 + 0.8 * np.log(40)
    assert np.log(found.threshold / (1 - found.threshold)) == pytest.approx(wanted, abs=0.35)
    assert found.interval[0] < found.threshold < found.interval[1]
    assert found.rates[0] < 0.5 < found.rates[1]
    assert (found.shape, found.clusters) == (0.0, 60)


@pytest.mark.parametrize(
    ("per_hour", "grade"),
    [(6 / 48, Grade.MEASURED), (3 / 48, Grade.FACTOR_OF_2), (1 / 48, Grade.EXTRAPOLATED)],
)
def test_the_grade_follows_from_the_false_alarms_expected_in_what_was_heard(per_hour, grade):
    found = alarm_threshold(heard(48), per_hour)
    assert found.grade == grade
    assert found.expected == pytest.approx(per_hour * 48)
    assert found.hours == 48


def test_a_wish_for_more_alarms_gives_a_lower_threshold():
    thresholds = [alarm_threshold(heard(48), per_hour).threshold for per_hour in (0.02, 0.1, 1.0, 4.0)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_the_same_audio_gives_the_same_threshold():
    assert alarm_threshold(heard(24), 0.5) == alarm_threshold(heard(24), 0.5)


def test_one_a_day_from_half_an_hour_is_refused_with_how_long_to_listen():
    found = alarm_threshold(heard(0.5), per_hour=1 / 24)
    assert found == NoThreshold("too little was heard for so low a rate", 0.5, 12.0)


def test_ten_minutes_are_never_enough():
    found = alarm_threshold(heard(1 / 6), per_hour=60)
    assert (found.why, found.listen_hours) == ("less than 15 minutes were heard", 0.25)


def test_less_than_one_a_day_needs_most_hours_of_the_day():
    nights = [heard(6, first=NIGHT + day * 86_400) for day in range(8)]
    together = Heard(
        np.concatenate([night.ended_at for night in nights]),
        np.concatenate([night.levels for night in nights]),
        1.0,
        10.0,
    )
    assert isinstance(alarm_threshold(together, per_hour=2 / 24), AlarmThreshold)
    found = alarm_threshold(together, per_hour=0.5 / 24)
    assert found.why.startswith("only 6 of the 24 hours of the day were heard")
    assert found.listen_hours == 60


def test_a_label_that_nothing_comes_near_is_refused():
    found = alarm_threshold(heard(24, at=np.arange(16) * HOUR, peaks=np.arange(16) / 10), per_hour=0.5)
    assert found.why.endswith("separate sounds came near the label")
    silent = Heard(np.arange(24.0 * HOUR), np.zeros(24 * HOUR, np.float32), 1.0, 10.0)
    assert alarm_threshold(silent, 0.5) == NoThreshold("only 0 separate sounds came near the label", 24.0)


def test_a_single_bout_of_noise_is_refused():
    random = np.random.default_rng(3)
    at = np.concatenate([5 * HOUR + np.arange(40) * 15, np.arange(40) * 2100 + 300])
    found = alarm_threshold(heard(24, at=at, peaks=random.exponential(1.0, 80) - 2), per_hour=0.5)
    assert "within ten minutes" in found.why


def test_a_room_that_has_changed_is_refused():
    random = np.random.default_rng(4)
    at = np.concatenate([np.arange(200) * 210, 12 * HOUR + np.arange(20) * 2100])
    found = alarm_threshold(heard(24, at=at, peaks=random.exponential(1.0, 220) - 2), per_hour=0.5)
    assert found.why.startswith("the halves differ")


def test_evenings_that_are_louder_than_mornings_are_no_change_of_the_room():
    at = np.concatenate([day * 86_400 + 18 * HOUR + np.arange(60) * 240 for day in range(3)])
    peaks = np.random.default_rng(6).exponential(1.0, len(at))
    # The half of the time is noon of the second day: one evening before it, two after.
    assert isinstance(alarm_threshold(heard(72, at=at, peaks=peaks), 0.1), AlarmThreshold)


def test_what_was_mostly_heard_on_one_day_is_halved_by_what_was_heard():
    whole = heard(72)
    most = whole.without(np.array([[NIGHT + 20 * HOUR, NIGHT + 71.9 * HOUR]]))
    assert isinstance(alarm_threshold(most, 0.5), AlarmThreshold)


def test_a_wish_that_no_threshold_fulfils_is_refused():
    at = np.arange(100) * 864
    peaks = np.random.default_rng(5).exponential(1.0, 100)
    levels = heard(24, at=at, peaks=peaks)
    quiet = np.where(levels.levels < 0.1, 0, levels.levels).astype(np.float32)
    found = alarm_threshold(Heard(levels.ended_at, quiet, 1.0, 10.0), per_hour=20)
    assert found.why == "the label would fire less often at any threshold"


def test_events_that_were_right_are_left_out():
    whole = heard(1, at=np.array([600, 1800]), peaks=np.array([3.0, 1.0]))
    spans = np.array(
        [[NIGHT + 1790.0, NIGHT + 1810.0], [NIGHT + 590.0, NIGHT + 610.0], [NIGHT, NIGHT + 605.0]]
    )
    left = whole.without(spans)
    assert len(left.levels) == HOUR - 610 - 20
    assert left.levels.max() == np.float32(score_of(-6.0))
    assert whole.without(np.empty((0, 2))).hours == 1


def test_sounds_within_the_cooldown_and_the_merge_gap_are_one():
    at, peaks = np.array([100, 120, 200, 300]), np.array([1.0, 2.0, 3.0, 0.5])
    separate = clusters_above(heard(1, at=at, peaks=peaks, apart=10.0), 3)
    assert separate.excesses == pytest.approx([0.5, 1.5, 2.5], abs=1e-5)  # over the lowest of them
    assert separate.places.tolist() == [100, 120, 200]
    joined = clusters_above(heard(1, at=at, peaks=peaks, apart=30.0), 2)
    assert joined.excesses == pytest.approx([1.5, 2.5], abs=1e-5)


def test_what_counts_as_apart_follows_from_the_rule():
    rule = Rule("a", 16_000, 8_000, 0.5, 0.35, 2, 3, 0, 10**6, merge_gap=32_000, cooldown=480_000)
    of_rule = Heard.of(np.arange(4.0), np.array([0.1, 0.9, 0.8, 0.0], np.float32), rule)
    assert (of_rule.apart_seconds, of_rule.hop_seconds) == (32.0, 0.5)
    assert of_rule.levels == pytest.approx([0.0, 0.1, 0.8, 0.0])


def test_a_tail_is_bent_only_where_a_hundred_sounds_ask_for_it():
    random = np.random.default_rng(2)
    assert fit_tail(random.exponential(1.0, 400)).shape[0] == 0
    bounded = random.uniform(0.0, 1.0, 400)
    assert fit_tail(bounded).shape[0] == -0.5
    assert fit_tail(bounded[:99]).shape[0] == 0


def test_a_bent_tail_reaches_no_further_than_its_end():
    tail = fit_tail(np.random.default_rng(2).uniform(0.0, 1.0, 400))
    assert tail.survival(5.0)[0] == 0
    ratio = 1 / tail.survival(0.5)[0]
    assert tail.excess_of(ratio)[0] == pytest.approx(0.5)
    assert tail.survival(-0.1)[0] > 1


def test_steady_noise_has_no_tail_where_its_sounds_run_together():
    rule = Rule("label", 2, 1, 0.5, 0.35, 2, 3, 0, max_duration=600, merge_gap=4, cooldown=10)
    counts = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        noise = lfilter([0.71], [1.0, -0.7], random.normal(size=20 * 2400))
        levels = expit(2.0 * np.tanh(noise / 2.0) - 3.0).astype(np.float32)
        parts = [Heard.of(np.arange(2400) / 2, part, rule) for part in np.split(levels, 20)]
        found = alarm_threshold(parts[0], per_hour=18.0)
        assert isinstance(found, AlarmThreshold)
        assert found.clusters <= 30  # one in four times the ten seconds that make two sounds of them
        counts += [loud(part, found.threshold) for part in parts[1:]]
    assert 4.5 < np.mean(counts) < 8.0  # 6 are wished; from forty clusters there were 2.5


def loud(part, threshold):
    """Return how many separate sounds reach a threshold."""
    times = part.ended_at[part.levels >= threshold]
    return np.count_nonzero(np.diff(times, prepend=-np.inf) > part.apart_seconds)
