"""A checkpoint made ready: the window, the threads, and the calibration."""

import shutil

import pytest

from monitor.config import ClipsConfig, Config, LabelConfig, ModelConfig, SourceConfig, WindowConfig
from monitor.detection.engine import choose_threads, hops_by_source, load_engine, window_samples
from monitor.model.clap import Clap
from monitor.types import ConfigError, ModelError
from tests.support.command_line import ROOT
from tests.support.qualifications import qualification

STARTER = ROOT / "monitor/starter"


@pytest.fixture(scope="module")
def model():
    return Clap.load("starter")


def config(tmp_path, **settings):
    label = LabelConfig(id="dog", prompts=("a dog barking",))
    return Config(labels=(label,), state=tmp_path, **settings)


def test_a_window_is_five_seconds_or_the_checkpoints_own_length_if_that_is_shorter(model, tmp_path):
    length, hop = window_samples(config(tmp_path), model)
    assert length == min(5 * model.mel_config.rate, model.mel_config.length)
    assert hop == min(model.mel_config.rate, length // 2)


def test_a_shorter_window_that_divides_the_checkpoints_is_taken(model, tmp_path):
    seconds = model.mel_config.length / model.mel_config.rate / 4
    length, _ = window_samples(
        config(tmp_path, window=WindowConfig(seconds=seconds, hop_seconds=seconds)), model
    )
    assert length == model.mel_config.length // 4


def test_a_window_that_does_not_divide_the_checkpoints_is_refused(model, tmp_path):
    seconds = model.mel_config.length / model.mel_config.rate * 0.7
    window = WindowConfig(seconds=seconds, hop_seconds=seconds)
    with pytest.raises(ModelError, match="divide"):
        window_samples(config(tmp_path, window=window), model)


def test_a_hop_that_leaves_audio_unheard_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match=r"window\.hop_seconds: 60 leaves audio unscored"):
        window_samples(config(tmp_path, window=WindowConfig(hop_seconds=60)), model)


def test_a_checkpoint_without_a_calibration_is_refused_with_the_command_that_makes_one(tmp_path):
    place = tmp_path / "checkpoint"
    shutil.copytree(STARTER, place)
    (place / "detection.json").unlink()
    with pytest.raises(ModelError, match="has no calibration: run `clap-monitor qualify"):
        load_engine(config(tmp_path, model=ModelConfig(checkpoint=str(place))))


def test_a_qualification_replaces_the_files_of_the_checkpoint(tmp_path):
    made = qualification(256)
    asked = []

    def find(model, length, hop):
        asked.append((model.name, length, hop))
        return made

    engine = load_engine(config(tmp_path), find)
    assert asked == [("starter", engine.length, engine.hop)]
    assert (engine.calibration, engine.qualification) == (made.calibration, made)
    assert engine.cohort_norm.mean == pytest.approx(made.cohort.norm().mean)
    assert load_engine(config(tmp_path)).qualification is None


class Model:
    """A model that takes so many seconds for a window with each number of threads."""

    def __init__(self, *seconds):
        self.seconds, self.threads = seconds, 1

    def use_threads(self, threads):
        self.threads = threads

    def window_seconds(self):
        return self.seconds[self.threads - 1]


@pytest.mark.parametrize(
    ("seconds", "cores", "expected"),
    [
        ((0.4, 0.2), 2, 1),
        ((0.8, 0.45), 2, 2),
        ((0.8, 0.45), 1, 1),
        ((0.8, 0.75, 0.3, 0.2), 4, 3),
        ((2.0, 1.1, 0.8, 0.75), 4, 3),
        ((0.8, 4.0), 2, 1),
    ],
    ids=["one is enough", "two are needed", "none is free", "two are no help", "none suffice", "collapse"],
)
def test_threads_are_as_few_as_keep_up_and_never_more_than_are_free(seconds, cores, expected):
    model = Model(*seconds)
    assert choose_threads(model, 1.0, lambda: cores, model.window_seconds) == expected
    assert model.threads == expected


def test_a_source_may_have_a_hop_of_its_own_which_is_at_most_a_window():
    def sources(*hops):
        named = enumerate(hops)
        return Config(
            sources=tuple(SourceConfig(name=f"s{i}", kind="microphone", hop_seconds=hop) for i, hop in named)
        )

    assert hops_by_source(sources(None, 2.0), length=40, hop=10, rate=10) == {"s0": 10, "s1": 20}
    with pytest.raises(ConfigError, match=r"source s0: hop_seconds: 4\.1 leaves audio unscored"):
        hops_by_source(sources(4.1), length=40, hop=10, rate=10)


def test_speech_is_detected_only_where_clips_must_not_hold_it_also_after_a_change(tmp_path):
    guarded = load_engine(config(tmp_path, clips=ClipsConfig(enabled=True)))
    assert guarded.prototypes.speech is not None
    other = (LabelConfig(id="cat", prompts=("a cat meowing",)),)
    assert guarded.build_prototypes(other, ()).speech.vectors[0] == pytest.approx(
        guarded.prototypes.speech.vectors[0]
    )
    for clips in (ClipsConfig(), ClipsConfig(enabled=True, speech_filter=False)):
        assert load_engine(config(tmp_path, clips=clips)).prototypes.speech is None
