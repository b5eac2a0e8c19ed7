"""Example check and recordings, with the starter."""

import numpy as np
import pytest
import soundfile

from monitor.config import Config, LabelConfig
from monitor.detection.engine import load_engine
from monitor.detection.examples import Examples
from monitor.detection.quantised import quantised
from monitor.evaluation.calibration_kit import read_kit
from monitor.evaluation.example_check import Share, check_examples
from monitor.evaluation.example_recordings import MOST_SECONDS, example_of, in_room, read_recording
from monitor.evaluation.kit_windows import WindowEmbedder
from monitor.types import NotAudioError, SourceError
from tests.support.bells import RATE, bell

LABEL = LabelConfig(id="our_bell", examples=True)
DOG = LabelConfig(id="dog", prompts=("a dog barking",))


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    return load_engine(Config(labels=(DOG,), state=state), apart=False)


def noise(seconds, seed=0):
    return (0.05 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def shown(engine, **sounds):
    """Return recordings as examples, and their audio."""
    embedder, room = WindowEmbedder(engine.model, engine.length), noise(1.0)
    found = [example_of(name, samples, embedder, engine.hop, room) for name, samples in sounds.items()]
    rows = quantised(np.stack([each.embedding for each in found]))
    examples = Examples("our_bell", engine.model.identity, rows, tuple(sounds))
    return examples, {each.origin: each.samples for each in found}


def test_recordings_of_one_bell_find_each_other_in_ambience(engine):
    examples, audio = shown(engine, one=bell(seed=1), two=bell(seed=2), three=bell(seed=3))
    check = check_examples(LABEL, examples, audio, engine, read_kit())
    assert (check.examples, check.outliers, check.mixed) == (3, (), True)
    assert check.recall.value > 0.9
    assert 0.3 < check.recall.low < check.recall.value <= check.recall.high
    assert check.ambience_events == 0
    assert check.ambience_seconds > 30
    assert "dog" not in check.collisions


def test_a_recording_of_something_else_is_an_outlier(engine):
    sounds = {"one": bell(seed=1), "two": bell(seed=2), "three": bell(seed=3), "hiss": noise(2.0)}
    examples, _ = shown(engine, **sounds)
    check = check_examples(LABEL, examples, {}, engine, read_kit())
    assert check.outliers == ("hiss",)
    assert check.recall == Share(0.75, pytest.approx(0.30, abs=0.01), pytest.approx(0.95, abs=0.01))
    assert not check.mixed


def test_one_example_has_no_recall_and_two_no_outlier(engine):
    one, _ = shown(engine, one=bell())
    assert check_examples(LABEL, one, {}, engine, read_kit()).recall is None
    two, _ = shown(engine, one=bell(), hiss=noise(2.0))
    assert check_examples(LABEL, two, {}, engine, read_kit()).outliers == ()


def test_a_label_that_detects_the_examples_too_is_named(engine):
    prompt = engine.model.embed_text(["a dog barking"])
    examples = Examples("our_bell", engine.model.identity, quantised(prompt), ("a",))
    assert check_examples(LABEL, examples, {}, engine, read_kit()).collisions == {"dog": 1.0}


def test_a_short_sound_stands_in_a_quiet_room():
    sound = np.ones(10, np.float32)
    window = in_room(sound, noise(1.0), 100)
    assert window.shape == (100,)
    assert np.abs(window[:45]).mean() < 0.15
    assert window[45:55].mean() == pytest.approx(1.0, abs=0.1)
    assert np.sqrt(np.mean(window[:45] ** 2)) == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(RATE, np.float32), "holds no sound"),
        (np.ones(100, np.float32), "holds no sound"),
        (noise(MOST_SECONDS + 1), "is longer than 60 s: cut out the sound"),
    ],
)
def test_what_is_no_example_is_refused_with_the_reason(tmp_path, samples, words):
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    with pytest.raises(NotAudioError, match=words):
        read_recording(tmp_path / "a.wav", RATE)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SourceError, match="missing"):
        read_recording(tmp_path / "missing.wav", RATE)
