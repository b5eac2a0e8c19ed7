"""The figures of a qualified checkpoint on scenes: those of the default threshold, and of the best one."""

from types import SimpleNamespace

import numpy as np

from benchmarks.qualified import SHIFTS, words
from monitor.evaluation.threshold_sweep import Sweep


def test_the_line_has_the_default_threshold_and_the_best_with_one_false_alarm_an_hour_and_label():
    false_alarms = np.zeros((len(SHIFTS), 1, 2), int)
    found = np.zeros_like(false_alarms)
    false_alarms[SHIFTS <= 0.0, 0] = (6, 2)
    false_alarms[SHIFTS > 0.0, 0] = (2, 2)
    found[SHIFTS <= 0.0, 0] = (4, 5)
    found[SHIFTS > 0.0, 0] = (1, 5)
    found[SHIFTS > 2.0, 0] = 0
    counted = Sweep(("cat", "dog"), SHIFTS, found, false_alarms, np.array([[10, 10]]), (), np.array([2.0]))
    line = words(SimpleNamespace(qualification=None), counted)
    assert "recall 0.450, 2.00 false alarms an hour and label (8 in all: cat 6, dog 2)" in line
    assert "one threshold at one false alarm 0.300" in line
