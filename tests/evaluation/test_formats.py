"""The demo in another number format: the same events."""

import pytest

from monitor.config import load
from monitor.detection.engine import load_engine
from monitor.detection.rules import rule_of
from monitor.evaluation.replay import replay
from tests.support.command_line import ROOT


def heard(dtype, state):
    config = load(ROOT / "config/demo.yaml")
    model = config.model.model_copy(update={"dtype": dtype})
    config = config.model_copy(update={"model": model, "state": state})
    engine = load_engine(config)
    assert engine.model.dtype == dtype
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    return replay(ROOT / "recordings/demo.flac", config, engine, rules).events


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_the_demo_has_the_same_events_in(dtype, tmp_path):
    exact, coarse = heard("float32", tmp_path), heard(dtype, tmp_path)
    assert len(exact) == 6
    assert coarse == exact
