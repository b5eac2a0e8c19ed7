"""Calm windows: how near to its threshold each label may be at each source."""

import numpy as np
import pytest

from monitor.config import LabelConfig
from monitor.detection.active_labels import ActiveLabels
from monitor.detection.calm import CalmLimits
from monitor.types import Scores

DOG, CAT = (LabelConfig(id=name, prompts=(f"a {name}",)) for name in ("dog", "cat"))
LABELS = ActiveLabels(
    labels=(DOG, CAT.model_copy(update={"threshold": 0.25})),
    sources=("hall", "yard"),
    own={("yard", "dog"): DOG.model_copy(update={"threshold": 0.9})},
    selected={"yard": ("dog",)},
)


@pytest.mark.parametrize(
    ("source", "values", "calm"),
    [
        ("hall", [0.19, 0.09], True),
        ("hall", [0.21, 0.09], False),
        ("hall", [0.19, 0.11], False),
        ("yard", [0.35, 0.0], True),
        ("yard", [0.37, 0.0], False),
        ("yard", [0.0, 0.19], True),
    ],
)
def test_a_window_is_calm_if_no_score_is_above_two_fifths_of_the_threshold_at_its_source(
    source, values, calm
):
    scores = Scores(source, 0, 100, 1.0, ("dog", "cat"), np.array(values, np.float32), level_dbfs=-40.0)
    assert CalmLimits(LABELS).hold(scores) is calm
