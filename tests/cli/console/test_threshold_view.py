"""Lines about thresholds."""

import pytest

from monitor.cli.console.threshold_view import advice_line, score
from monitor.detection.alarm_advice import Advice
from monitor.detection.alarm_rate import AlarmThreshold, Grade, NoThreshold
from monitor.detection.alarm_words import span

FOUND = AlarmThreshold(0.634, (0.6, 0.7), (0.3 / 24, 0.9 / 24), Grade.FACTOR_OF_2, 3.5, 168.0, 60, 0.0)


def test_a_threshold_is_shown_with_its_rate_in_the_unit_of_the_target():
    assert advice_line(Advice("hall", "dog", "0.5/day", FOUND, 3, 1), 0.5) == (
        "hall              dog                   0.50 -> 0.63 for 0.5/day (80 %: 0.3 to 0.9), "
        "about a factor of 2: 3.5 expected in 7 days, 60 sounds; would miss 1 of 3 events marked as right"
    )


def test_a_refusal_says_why_and_how_long_to_listen():
    short = NoThreshold("less than 15 minutes were heard", 0.1, 0.25)
    assert advice_line(Advice("hall", "dog", "1/day", short, 0, 0), None).endswith(
        "  refused: less than 15 minutes were heard: 6 min so far, listen for 15 min"
    )
    hopeless = NoThreshold("the label would fire less often at any threshold", 24.0)
    assert advice_line(Advice("hall", "dog", "1/day", hopeless, 0, 0), 0.5).endswith(
        "0.50 -> refused: the label would fire less often at any threshold"
    )


@pytest.mark.parametrize(
    ("threshold", "text"), [(0.5, "0.50"), (0.004, "0.004"), (0.99951, "0.9995"), (0.9999999, "1.000000")]
)
def test_a_score_has_the_digits_that_tell_it_from_nought_and_one(threshold, text):
    assert score(threshold) == text


@pytest.mark.parametrize(
    ("hours", "text"), [(0.5, "30 min"), (12, "12 h"), (71.9, "71.9 h"), (168, "7 days")]
)
def test_lengths_of_time_are_in_words(hours, text):
    assert span(hours) == text
