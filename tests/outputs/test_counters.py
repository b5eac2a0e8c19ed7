import numpy as np

from monitor.detection.near_misses import MissReason
from monitor.outputs.counters import MOST, Counters
from monitor.types import Scores
from tests.support.events import ended, event, label_of, near_miss


def test_an_event_is_counted_once_and_known_as_it_ended():
    counters = Counters()
    counters.on_event(event("dog"), label_of("dog"))
    counters.on_event(ended(event("dog")), label_of("dog"))
    counters.on_event(event("dog", source="crib"), label_of("dog"))
    assert counters.events == {("porch", "dog"): 1, ("crib", "dog"): 1}
    assert counters.last["dog"].source == "crib"


def test_what_came_near_is_counted_by_its_reason():
    counters = Counters()
    for reason in (MissReason.COOLDOWN, MissReason.COOLDOWN, MissReason.CONFUSABLE):
        counters.on_near_miss(near_miss(reason=reason))
    assert counters.rejected == {("dog", "cooldown"): 2, ("dog", "confusable"): 1}


def test_the_newest_scores_of_each_source_are_known():
    counters = Counters()
    for stop in (1, 2):
        values = np.zeros(1, dtype=np.float32)
        counters.on_scores(Scores("porch", 0, stop, 0.0, ("dog",), values, level_dbfs=-40.0))
    assert counters.newest["porch"].stop == 2


def test_labels_that_come_and_go_for_years_take_no_more_room():
    counters = Counters()
    for number in range(MOST + 10):
        counters.on_event(event(f"label{number}"), label_of("dog"))
        counters.on_near_miss(near_miss(f"label{number}"))
    assert len(counters.events) == len(counters.last) == len(counters.rejected) == MOST
    assert ("porch", f"label{MOST + 9}") in counters.events
