"""Files that are read back, harmed at random: a start goes on, whatever is in them."""

import logging
import resource

import pytest

from benchmarks.fuzz_files import KINDS, MOST_MEGABYTES, fuzz, grown_megabytes

ROUNDS = {"store": 30, "outbox": 40, "clips": 40, "clock": 60}


@pytest.mark.parametrize("name", KINDS)
def test_whatever_harms_a_file_a_start_goes_on(name, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    KINDS[name].make(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found_once = {"store": [2529], "outbox": [522, 1942], "clips": [1851, 1871]}.get(name, [])
    for seed in [*found_once, *range(ROUNDS[name])]:
        assert fuzz(KINDS[name], tmp_path, seed=seed)[1] is None
    assert grown_megabytes(before) < MOST_MEGABYTES
