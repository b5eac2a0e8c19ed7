"""Prompt packs: in plain ambience no label fires, and no two prompts are the same; the short version."""

import numpy as np
import pytest

from benchmarks.packs import every_pack, fired, kit_beds
from benchmarks.scene_beds import looped
from monitor.evaluation.prompt_lint import too_close
from monitor.evaluation.qualified_engine import load_qualified_engine

SECONDS = 30.0


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


def test_no_label_of_a_pack_fires_in_plain_ambience(state):
    config = every_pack("starter", state)
    engine = load_qualified_engine(config)
    beds = {name: looped(bed, SECONDS, np.random.default_rng(0)) for name, bed in kit_beds()}
    found = {name: dict(fired(bed, name, config, engine)[0]) for name, bed in beds.items()}
    assert len(found) > 5
    assert {name: events for name, events in found.items() if events} == {}


def test_no_two_prompts_of_the_packs_are_the_same_to_the_starter(state):
    assert too_close(every_pack("starter", state)) == []
