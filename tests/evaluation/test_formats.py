"""The demo in another number format and another engine: the same events."""

import numpy as np
import pytest

from monitor.config import load
from monitor.detection.engine import load_engine
from monitor.detection.rules import rule_of
from monitor.evaluation.replay import replay
from tests.support.command_line import ROOT


def heard(engine, dtype, state):
    config = load(ROOT / "config/demo.yaml")
    model = config.model.model_copy(update={"engine": engine, "dtype": dtype})
    config = config.model_copy(update={"model": model, "state": state})
    loaded = load_engine(config)
    assert (loaded.model.engine, loaded.model.dtype) == (engine, dtype)
    rules = [rule_of(label, rate=loaded.rate, hop=loaded.hop) for label in config.labels]
    return replay(ROOT / "recordings/demo.flac", config, loaded, rules)


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    found = heard("torch", "float32", tmp_path_factory.mktemp("exact"))
    assert len(found.events) == 6
    return found


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_the_demo_has_the_same_events_in(dtype, exact, tmp_path):
    assert heard("torch", dtype, tmp_path).events == exact.events


def test_the_demo_has_the_same_events_and_scores_in_onnx_runtime(exact, tmp_path):
    found = heard("onnx", "float32", tmp_path)
    assert found.events == exact.events
    ours, theirs = (np.stack([scores.values for scores in each.scores]) for each in (found, exact))
    assert len(ours) > 100
    assert np.abs(ours - theirs).max() < 1e-4
