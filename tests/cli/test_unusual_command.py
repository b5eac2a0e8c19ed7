"""Unusual sounds on the command line."""

from types import SimpleNamespace

import numpy as np
import pytest

from monitor.config import load
from monitor.detection.engine import load_engine
from tests.support.command_line import clap_monitor
from tests.support.remembered import remember

BEGIN = 1_795_392_000.0
HOUR = 3_600.0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with an hour of a room in the memory of the embedded checkpoint."""
    place = tmp_path_factory.mktemp("place")
    (place / "monitor.yaml").write_text("labels: [{id: dog, prompts: [a dog barking]}]\n")
    engine = load_engine(load(place / "monitor.yaml").model_copy(update={"state": place / "state"}))
    rows = np.random.default_rng(1).normal(size=(360, engine.model.dimension))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    windows = SimpleNamespace(identity=engine.model.identity, rate=100, length=1000, hop=1000)
    remember(place / "state", windows, rows, since=BEGIN)
    return place


def test_too_short_a_memory_is_refused_with_what_there_is(place):
    done = clap_monitor("unusual", "-c", "monitor.yaml", "--since", "2026-11-24", cwd=place)
    assert (done.returncode, done.stdout) == (65, "")
    assert (
        "crib: two days must be remembered before --since, to know what is usual; there are " in done.stderr
    )


def test_a_target_that_makes_no_sense_is_refused(place):
    done = clap_monitor("unusual", "-c", "monitor.yaml", "--target", "often", cwd=place)
    assert done.returncode == 2
    assert "'often' is not a rate of false alarms" in done.stderr
