"""Qualification of real checkpoints on the kit in the package, of which little is used."""

import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from monitor.config import Config, load
from monitor.detection.engine import load_engine
from monitor.detection.qualification_file import FILE, MOST, keep_qualification, write_qualification
from monitor.detection.rules import rule_of
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.file_embedding import read_blocks
from monitor.evaluation.kit_qualification import Amount, affordable, qualify
from monitor.evaluation.kit_windows import WindowEmbedder, clip_windows, windows_in
from monitor.evaluation.qualified_engine import (
    Qualifier,
    load_qualified_engine,
    path_of,
    setup_of,
)
from monitor.evaluation.remembered_scenes import RememberedScene, replay_scene
from monitor.evaluation.replay import replay
from monitor.model.clap import Clap
from monitor.model.hub import STARTER
from monitor.types import ModelError
from tests.support.checkpoints import TINY, build, centre
from tests.support.command_line import ROOT, clap_monitor, start
from tests.support.qualifications import qualification

KIT = read_kit()
LITTLE = Amount(cohort=80, scenes=3, events_per_label=1, scene_seconds=30.0)
LEAST = Amount(cohort=20, scenes=2, events_per_label=1, scene_seconds=12.0)
TELEPHONE = {"sampling_rate": 8_000, "hop_length": 80, "frequency_max": 4_000, "nb_max_samples": 80_000}
"""Preprocessor of a checkpoint whose audio takes a sixth of the time to mix."""

DEMO = ROOT / "recordings/demo.flac"


@pytest.fixture(scope="module")
def stripped(tmp_path_factory):
    """The starter without its calibration."""
    place = shutil.copytree(STARTER, tmp_path_factory.mktemp("checkpoint") / "stripped")
    for name in ("detection.json", "repertoire.json"):
        (place / name).unlink(missing_ok=True)
    return place


def demo_with(checkpoint, state):
    demo = load(ROOT / "config/demo.yaml")
    model = demo.model.model_copy(update={"checkpoint": str(checkpoint), "threads": 1, "dtype": "float32"})
    return demo.model_copy(update={"model": model, "state": state})


@pytest.fixture(scope="module")
def qualified(stripped, tmp_path_factory):
    """The demo's configuration, the qualification of the stripped starter, and the progress that was told."""
    config = demo_with(stripped, tmp_path_factory.mktemp("state"))
    told = []

    qualifier = Qualifier(config, KIT, lambda *done: told.append(done), LITTLE)
    return config, load_engine(config, qualifier.find), told


def test_a_starter_without_its_files_finds_the_events_of_the_demo(qualified):
    config, engine, _ = qualified
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    found = {event.label for event in replay(DEMO, config, engine, rules).events}
    assert {"rooster", "cheering", "car_horn"} <= found
    assert not found & {"glass_breaking", "siren"}


def test_the_figures_say_that_it_hears(qualified):
    figures = qualified[1].qualification.figures
    assert figures.auroc.low > 0.7
    assert figures.auroc.value <= figures.auroc.high <= 1.0
    assert figures.zero_shot >= 0.5
    assert figures.recall.keys() <= {"20", "10", "5"}
    assert figures.recall
    assert figures.cohort_windows == 80
    assert figures.label_hours > len(KIT.labels) * 3 * 30 / 3600


def test_progress_ends_with_all_windows(qualified):
    told = qualified[2]
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert {of for _, of in told} == {told[-1][0]}


def test_what_is_kept_is_used_by_the_next_start_without_measuring(qualified):
    config, engine, _ = qualified

    def measured(_done, _of):
        raise AssertionError("it was measured again")

    again = load_qualified_engine(config, progress=measured)
    assert again.calibration == engine.calibration
    assert again.qualification.figures == engine.qualification.figures


def test_the_same_kit_gives_the_same_qualification(qualified):
    config, engine, _ = qualified
    made, model = engine.qualification, Clap.configured(config.model)
    try:
        one, other = (qualify(model, made.setup, KIT, amount=LEAST) for _ in range(2))
    finally:
        model.forget_text()
    assert one.calibration == other.calibration
    assert np.array_equal(one.cohort.embeddings, other.cohort.embeddings)


def test_a_scene_from_memory_is_scored_as_a_recording(qualified):
    config, engine, _ = qualified
    rules = [rule_of(label, rate=engine.rate, hop=engine.hop) for label in config.labels]
    every = config.model_copy(update={"window": config.window.model_copy(update={"reuse_seconds": 0.0})})
    recorded = replay(DEMO, every, engine, rules)
    samples = np.concatenate(list(read_blocks(DEMO, engine.rate)))
    rows = WindowEmbedder(engine.model, engine.length).embed(
        windows_in(samples, engine.length, engine.hop), engine.hop
    )
    remembered = replay_scene(RememberedScene(rows, (), recorded.seconds), engine, config.labels, rules)
    expected, got = (np.stack([s.values for s in each.scores]) for each in (recorded, remembered))
    assert got == pytest.approx(expected, abs=1e-3)
    assert [event.label for event in remembered.events] == [event.label for event in recorded.events]


def test_the_sounds_of_a_cohort_stand_in_a_room_and_fill_every_length():
    for length in (4_800, 80_000):
        windows = list(clip_windows(KIT.cohort[:7], KIT.beds, 16_000, length))
        assert [window.shape for window in windows] == [(length,)] * 7
        for window in windows:
            parts = window[: length // 16 * 16].reshape(16, -1)
            assert np.all(parts.std(axis=1) > 0)
            assert np.abs(window).max() <= 1.0


def test_a_slow_machine_measures_less_but_never_too_little():
    fast, full_size, hopeless = (affordable(KIT, seconds, 0.5) for seconds in (0.001, 0.3, 10.0))
    assert fast.scenes >= full_size.scenes >= hopeless.scenes
    assert hopeless.scenes * hopeless.scene_seconds >= 360
    assert full_size.windows(KIT, 5.0, 1.0) * 0.3 < 330


class Nothing:
    """A model without calibration of its own."""

    name, path, identity, dtype, engine, dimension = "nothing", None, "nothing", "float32", "torch", 8

    def __init__(self, path):
        self.path = path


def find(config, model, **changes):
    """What holds for windows of a second every half."""

    def progress(_done, _of):
        raise AssertionError("it was measured")

    length, hop = changes.get("length", 48_000), changes.get("hop", 24_000)
    return Qualifier(config, KIT, progress).find(model, length, hop)


def test_somebodys_own_qualification_holds_before_the_checkpoints_and_that_before_old_files(tmp_path):
    config, model = Config(state=tmp_path / "state"), Nothing(tmp_path)
    (tmp_path / "detection.json").write_text(json.dumps({"scale": 1, "centre": 1, "ambience": 0}))
    assert find(config, model) is None
    beside = qualification()
    write_qualification(tmp_path / FILE, beside)
    assert find(config, model).made_at == beside.made_at
    assert find(config, model, hop=12_000) is None
    own = replace(beside, setup=setup_of(model, 48_000, 24_000, KIT), made_at=5.0)
    write_qualification(path_of(config.state, own.setup), own)
    assert find(config, model).made_at == 5.0


def test_a_checkpoint_that_guesses_is_refused_unless_somebody_insists(tmp_path):
    model = Nothing(tmp_path)
    made = qualification(auroc=replace(qualification().figures.auroc, value=0.5, low=0.45, high=0.55))
    own = replace(made, setup=setup_of(model, 48_000, 24_000, KIT))
    write_qualification(path_of(tmp_path, own.setup), own)
    config = Config(state=tmp_path)
    with pytest.raises(
        ModelError, match=r"mean AUROC 0\.50 \(0\.45 to 0\.55\), a guess has 0\.50.*allow_unqualified"
    ):
        find(config, model)
    assert find(
        config.model_copy(update={"model": config.model.model_copy(update={"allow_unqualified": True})}),
        model,
    )


def test_qualifications_that_were_not_used_for_long_are_deleted(tmp_path):
    config, model = Config(state=tmp_path / "state"), Nothing(tmp_path)
    used = replace(qualification(), setup=setup_of(model, 48_000, 24_000, KIT))
    setups = [used.setup, *(replace(used.setup, length=length) for length in range(1, MOST + 1))]
    paths = [path_of(config.state, setup) for setup in setups]
    for age, path in enumerate(paths):
        write_qualification(path, used)
        os.utime(path, (age, age))
    assert find(config, model).setup == used.setup
    new = path_of(config.state, replace(used.setup, hop=1))
    keep_qualification(new, used)
    assert set(config.state.glob("qualifications/*")) == {paths[0], *paths[3:], new}


def test_a_start_that_was_killed_leaves_nothing_and_the_next_one_completes(tmp_path):
    checkpoint = tmp_path / "random"
    build(checkpoint, TINY, preprocessor=TELEPHONE)
    centre(checkpoint, TINY)
    (tmp_path / "monitor.yaml").write_text(
        f"model: {{checkpoint: {checkpoint}, dtype: float32}}\nwindow: {{seconds: 1, hop_seconds: 0.5}}\n"
        f"sources: [{{name: demo, kind: file, path: {DEMO}, pace: fast}}]\n"
    )
    killed = start("run", "--config", "monitor.yaml", cwd=tmp_path)
    for line in killed.stderr:
        if "qualifying the checkpoint: 10 %" in line:
            break
    told = clap_monitor("status", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (1, "")
    assert "qualifying the checkpoint, once: " in told.stderr
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not list(tmp_path.glob("state/qualifications/*"))
    config = load(tmp_path / "monitor.yaml").model_copy(update={"state": tmp_path / "state"})
    insisting = config.model_copy(
        update={"model": config.model.model_copy(update={"allow_unqualified": True})}
    )
    engine = load_engine(insisting, Qualifier(insisting, KIT, amount=LEAST).find)
    assert engine.qualification.figures.cohort_windows == LEAST.cohort
    (kept,) = tmp_path.glob("state/qualifications/*")
    assert kept == path_of(config.state, engine.qualification.setup)
