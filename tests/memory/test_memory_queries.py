"""Queries of the memory: any of them may be given up."""

import numpy as np
import pytest

from monitor.detection.prototypes import Directions
from monitor.memory.memory_queries import MemoryQueries, Period
from monitor.types import MonitorError
from tests.support.remembered import remember
from tests.support.web_server import Engine

NOON = 1_795_435_200.0
PERIOD = Period(NOON, NOON + 86_400)


class EnoughError(MonitorError):
    """It takes too long."""


@pytest.fixture
def queries(tmp_path):
    rows = np.tile(Engine().embed_text(["rain falling"]), (3 * 7_200, 1))  # three hours, in three segments
    remember(tmp_path, Engine(), rows, since=NOON)
    return MemoryQueries(tmp_path, Engine())


def test_a_search_is_given_up_between_two_segments(queries):
    direction = Directions(Engine().embed_text(["a dog barking"]))
    looks = []

    def enough():
        looks.append(1)
        if len(looks) == 2:
            raise EnoughError("enough")

    with pytest.raises(EnoughError):
        queries.search(direction, PERIOD, 5, enough)
    looks.clear()
    queries.search(direction, PERIOD, 5, lambda: looks.append(1))
    assert len(looks) == 3


def test_a_source_that_is_not_known_has_no_moments(queries):
    direction = Directions(Engine().embed_text(["a dog barking"]))
    nowhere = Period(NOON, NOON + 60, "attic")
    assert queries.search(direction, nowhere, 5, lambda: None) == []
    assert list(queries.spans()) == ["crib"]
