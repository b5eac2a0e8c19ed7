"""Control: every way to change the labels in force, and that a refused change changes nothing."""

import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.detection.examples import Examples, as_rivals
from monitor.detection.examples_file import store_examples
from monitor.detection.prototypes import build_prototypes
from monitor.detection.quantised import quantised
from monitor.detection.threshold_changes import apply_thresholds, measure_thresholds, undo_thresholds
from monitor.types import ConfigError, ModelError, MonitorError
from tests.support.engines import control_of

DOG = LabelConfig(id="dog", prompts=("a dog barking",), threshold=0.6)
CAT = LabelConfig(id="cat", prompts=("a cat meowing",), release_threshold=0.4)
SOURCES = tuple(SourceConfig(name=name, kind="microphone") for name in ("porch", "hall"))


def embed(sentences):
    """Embed each sentence as a unit vector of its own, as far as there is room."""
    rows = np.zeros((len(sentences), 16), np.float32)
    for row, text in zip(rows, sentences, strict=True):
        row[sum(text.encode()) % 16] = 1
    return rows


class Setup:
    """A control, what it embedded, and the file that it was started with."""

    def __init__(self, state=None, labels=(DOG, CAT), check=lambda _: None, **config):
        self.config = Config(sources=SOURCES, labels=labels, background=("rain",), **config)
        self.embedded = []
        self.failure = None
        options = {"reread": lambda: self.config, "check": check}
        self.control = control_of(self.config, embed, state=state, build=self.build, **options)

    def build(self, labels, background, embed, **options):
        if self.failure is not None:
            raise self.failure
        self.embedded.append([label.id for label in labels])
        return build_prototypes(labels, background, embed, **options)

    def apply(self, thresholds):
        self.control.change_thresholds(lambda settings: apply_thresholds(settings, thresholds))

    def measure(self, thresholds):
        self.control.change_thresholds(lambda settings: measure_thresholds(settings, thresholds))

    def thresholds(self, label):
        return [self.control.active_labels.label(source.name, label).threshold for source in SOURCES]


def ids(setup):
    return [label.id for label in setup.control.active_labels.enabled]


def test_nothing_is_to_be_taken_over_until_something_changes_and_then_once():
    setup = Setup()
    assert setup.control.take_change() is None
    setup.control.set_threshold("dog", 0.7)
    assert setup.control.take_change().active_labels.label("hall", "dog").threshold == 0.7
    assert setup.control.take_change() is None


def test_of_changes_that_were_not_taken_the_newest_holds_all_of_them():
    setup = Setup()
    setup.control.set_threshold("dog", 0.7)
    setup.control.arm(armed=False)
    setup.control.remove_label("cat")
    active_labels = setup.control.take_change().active_labels
    assert (active_labels.armed, [label.id for label in active_labels.enabled]) == (False, ["dog"])
    assert active_labels.label("porch", "dog").threshold == 0.7


def test_a_threshold_is_of_one_source_or_of_all():
    setup = Setup()
    setup.control.set_threshold("dog", 0.9, "hall")
    assert setup.thresholds("dog") == [0.6, 0.9]
    setup.control.set_threshold("dog", 0.3)
    assert setup.thresholds("dog") == [0.3, 0.3]
    assert [label.release for label in setup.control.active_labels.at("hall")] == [0.21, 0.4]


def test_applied_thresholds_are_taken_back_together(tmp_path):
    setup = Setup(tmp_path)
    setup.control.set_threshold("dog", 0.9, "hall")
    setup.apply({"hall": {"dog": 0.7, "cat": 0.8}, "porch": {"cat": 0.85}})
    assert (setup.thresholds("dog"), setup.thresholds("cat")) == ([0.6, 0.7], [0.85, 0.8])
    again = Setup(tmp_path)
    again.control.change_thresholds(undo_thresholds)
    assert (again.thresholds("dog"), again.thresholds("cat")) == ([0.6, 0.9], [0.5, 0.5])
    with pytest.raises(ConfigError, match="nothing to take back"):
        again.control.change_thresholds(undo_thresholds)


def test_thresholds_that_do_not_exist_are_refused_and_none_is_applied():
    setup = Setup()
    for wrong in ({"hall": {"dog": 0.7, "cow": 0.5}}, {"attic": {"dog": 0.7}}, {"hall": {"dog": 1.7}}):
        with pytest.raises(ConfigError):
            setup.apply(wrong)
    assert setup.thresholds("dog") == [0.6, 0.6]


def test_the_threshold_of_a_target_holds_until_somebody_sets_another(tmp_path):
    setup = Setup(tmp_path)
    setup.control.put_label({"id": "dog", "target": "0.5/day"})
    assert setup.thresholds("dog") == [0.5, 0.5]
    setup.measure({"hall": {"dog": 0.77}})
    assert setup.thresholds("dog") == [0.5, 0.77]
    assert Setup(tmp_path).thresholds("dog") == [0.5, 0.77]
    setup.control.set_threshold("dog", 0.6, "hall")
    setup.measure({"hall": {"dog": 0.8}})
    assert setup.thresholds("dog") == [0.5, 0.6]
    setup.control.put_label({"id": "dog", "target": "1/day"})
    assert setup.thresholds("dog") == [0.5, 0.8]
    setup.control.set_threshold("dog", 0.4)
    assert (setup.thresholds("dog"), setup.control.active_labels.find("dog").target) == ([0.4, 0.4], None)


def test_a_release_threshold_comes_down_with_its_threshold_and_no_further_up_than_it_was():
    setup = Setup()
    for threshold, release in ((0.2, 0.2), (0.9, 0.2)):
        setup.control.set_threshold("cat", threshold)
        assert setup.control.active_labels.find("cat").release == release
    setup.control.set_threshold("cat", 0.1, "porch")
    assert setup.control.active_labels.label("porch", "cat").release == 0.1
    assert setup.control.active_labels.label("hall", "cat").release == 0.2


def test_only_new_prompts_are_embedded():
    setup = Setup()
    setup.control.set_threshold("dog", 0.7)
    setup.control.arm(armed=False)
    setup.control.put_label({"id": "dog", "name": "Our dog"})
    assert setup.embedded == []
    setup.control.put_label({"id": "kettle", "prompts": ["a kettle whistling"]})
    setup.control.put_label({"id": "dog", "prompts": ["a dog howling"]})
    assert setup.embedded == [["dog", "cat", "kettle"]] * 2
    assert setup.control.take_change().prototypes.labels == ("dog", "cat", "kettle")


def test_a_label_is_added_changed_key_by_key_and_removed():
    setup = Setup()
    setup.control.put_label({"id": "kettle", "prompts": ["a kettle"], "threshold": 0.8, "against": ["wind"]})
    setup.control.put_label({"id": "kettle", "name": "Tea", "threshold": None})
    kettle = setup.control.active_labels.find("kettle")
    assert (kettle.title, kettle.prompts, kettle.against) == ("Tea", ("a kettle",), ("wind",))
    assert kettle.threshold == 0.5
    setup.control.remove_label("kettle")
    setup.control.enable_label("cat", enabled=False)
    assert ids(setup) == ["dog"]


def test_a_threshold_in_a_label_that_is_put_holds_for_every_source():
    setup = Setup()
    setup.control.set_threshold("dog", 0.9, "hall")
    setup.control.put_label({"id": "dog", "name": "Rex"})
    assert setup.thresholds("dog") == [0.6, 0.9]
    setup.control.put_label({"id": "dog", "threshold": 0.4})
    assert setup.thresholds("dog") == [0.4, 0.4]


REFUSED = [
    (lambda c: c.set_threshold("dog", 1.4), "threshold: 1.4 is not in [0, 1]"),
    (lambda c: c.set_threshold("dog", "high"), 'threshold: "high" is not a number'),
    (lambda c: c.set_threshold("dog", float("nan")), "threshold: "),
    (lambda c: c.set_threshold("bird", 0.5), "there is no label 'bird'"),
    (
        lambda c: c.set_threshold("dog", 0.5, "attic"),
        "there is no source 'attic'; the sources are porch, hall",
    ),
    (lambda c: c.put_label({"prompts": ["a bird"]}), "id: is missing"),
    (lambda c: c.put_label({"id": "bird"}), "prompts: is missing"),
    (lambda c: c.put_label({"id": "A bird", "prompts": ["a bird"]}), "write a_bird"),
    (lambda c: c.put_label({"id": ["x"], "prompts": ["a bird"]}), "id: "),
    (lambda c: c.put_label({"id": "dog", "treshold": 0.5}), "treshold: unknown key; did you mean threshold?"),
    (lambda c: c.put_label({"id": "dog", "prompts": []}), "prompts: is empty"),
    (lambda c: c.put_label({"id": "dog", "prompts": ["x" * 301]}), "prompts[0]"),
    (lambda c: c.remove_label("bird"), "there is no label 'bird'"),
    (lambda c: c.enable_label("bird", enabled=True), "there is no label 'bird'"),
    (lambda c: (c.remove_label("dog"), c.remove_label("cat")), "none would be enabled"),
]


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_the_file_could_not_say_is_refused_in_one_line_and_changes_nothing(change, why):
    setup = Setup()
    with pytest.raises(ConfigError) as caught:
        change(setup.control)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    left = setup.control.active_labels
    assert left.labels[-1] == CAT
    assert ids(Setup()) == ["dog", "cat"]


def test_there_are_no_more_labels_than_the_file_may_have():
    labels = tuple(LabelConfig(id=f"l{number}", prompts=("a",)) for number in range(200))
    setup = Setup(labels=labels)
    with pytest.raises(ConfigError, match="there would be 201; 200"):
        setup.control.put_label({"id": "one_more", "prompts": ["b"]})


def test_prompts_that_cannot_be_embedded_change_nothing(tmp_path):
    setup = Setup(tmp_path)
    setup.failure = ModelError("the text encoder is gone")
    with pytest.raises(ModelError):
        setup.control.put_label({"id": "kettle", "prompts": ["a kettle"]})
    assert ids(setup) == ["dog", "cat"]
    assert setup.control.take_change() is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_changed_is_known_to_the_next_run_and_the_rest_is_as_the_file_says(tmp_path):
    setup = Setup(tmp_path)
    setup.control.set_threshold("dog", 0.9, "hall")
    setup.control.put_label({"id": "kettle", "prompts": ["a kettle"]})
    setup.control.remove_label("cat")
    setup.control.arm(armed=False)
    again = Setup(tmp_path, labels=(DOG.model_copy(update={"name": "Rex"}), CAT))
    assert again.control.active_labels.armed is False
    assert ids(again) == ["dog", "kettle"]
    assert again.thresholds("dog") == [0.6, 0.9]
    assert again.control.active_labels.find("dog").title == "Rex"
    assert again.control.overridden


def test_without_a_state_directory_nothing_is_kept():
    Setup().control.set_threshold("dog", 0.9)
    assert Setup().thresholds("dog") == [0.6, 0.6]


def test_a_new_file_keeps_what_was_changed_at_run_time_as_far_as_it_fits(tmp_path, caplog):
    setup = Setup(tmp_path)
    setup.control.enable_label("cat", enabled=False)
    setup.control.set_threshold("dog", 0.9, "hall")
    bird = LabelConfig(id="bird", prompts=("a bird",))
    setup.config = setup.config.model_copy(update={"labels": (DOG, bird)})
    caplog.set_level(logging.INFO)
    done = setup.control.reload()
    assert done.changed == ("labels: cat removed", "labels: bird added")
    assert len(done.left_out) == 1
    assert done.left_out[0].startswith("label cat: ")
    assert ids(setup) == ["dog", "bird"]
    assert setup.thresholds("dog") == [0.6, 0.9]
    assert "label cat: " in caplog.text
    assert not json.loads((tmp_path / "overrides.json").read_text())["labels"]


def test_what_cannot_be_swapped_is_named_and_stays():
    setup = Setup()
    before = setup.config
    window = before.window.model_copy(update={"seconds": 2.0})
    dog = DOG.model_copy(update={"threshold": 0.7, "prompts": ("a hound",)})
    setup.config = before.model_copy(
        update={"window": window, "node": "attic", "labels": (dog, CAT), "silence_dbfs": -60.0}
    )
    done = setup.control.reload()
    assert done.needs_restart == ("node: changed", "window.seconds: changed")
    assert done.changed == (
        "silence_dbfs: -70 -> -60",
        "labels: dog.prompts: changed",
        "labels: dog.threshold: 0.6 -> 0.7",
    )
    change = setup.control.take_change()
    assert (change.config.node, change.config.window) == (before.node, before.window)
    assert change.active_labels.silence_dbfs == -60.0
    assert setup.control.reload().needs_restart == done.needs_restart


def test_clip_lengths_and_limits_change_at_run_time_but_not_the_format_of_a_begun_clip():
    setup = Setup()
    clips = setup.config.clips.model_copy(update={"format": "wav", "keep_days": 3.0, "enabled": True})
    setup.config = setup.config.model_copy(update={"clips": clips})
    done = setup.control.reload()
    assert done.changed == ("clips.keep_days: 30 -> 3",)
    assert done.needs_restart == ("clips.enabled: false -> true", "clips.format: changed")


def test_mqtt_is_switched_on_and_off_by_a_restart_only():
    setup = Setup()
    mqtt = setup.config.mqtt.model_copy(update={"host": "broker", "port": 1884})
    setup.config = setup.config.model_copy(update={"mqtt": mqtt})
    done = setup.control.reload()
    assert done.needs_restart == ("mqtt.host: changed", "mqtt.port: 1883 -> 1884")
    assert setup.control.config.mqtt.host is None


def test_a_file_that_is_refused_changes_nothing_and_every_fault_stands_in_the_status(caplog):
    setup = Setup()

    def refuse():
        raise ConfigError("monitor.yaml:3: first\nmonitor.yaml:9: second")

    setup.control._reread = refuse
    with pytest.raises(ConfigError, match="first"):
        setup.control.reload()
    assert setup.control.last_reload.faults == ("monitor.yaml:3: first", "monitor.yaml:9: second")
    assert setup.control.take_change() is None
    assert "monitor.yaml:9: second" in caplog.text


def test_what_a_new_file_needs_is_looked_for_before_it_is_taken_over():
    def check(_):
        raise MonitorError("mqtt.ca_file: is not there")

    setup = Setup(check=check)
    setup.config = setup.config.model_copy(update={"silence_dbfs": -60.0})
    with pytest.raises(MonitorError, match="ca_file"):
        setup.control.reload()
    assert setup.control.config.silence_dbfs == -70.0


def test_no_file_no_reload():
    control = control_of(Config(), embed)
    with pytest.raises(ConfigError, match="without a configuration file"):
        control.reload()


BROKEN = [
    b"",
    b"\xff\xfe",
    b"[]",
    b"{}",
    b'{"armed":1,"labels":{},"thresholds":{}}',
    b'{"armed":true,"labels":[1],"thresholds":{}}',
    b'{"armed":true,"labels":{"A B":null},"thresholds":{}}',
    b'{"armed":true,"labels":{},"thresholds":{"hall":{"dog":7}}}',
    b'{"armed":true,"labels":{},"thresholds":{"hall":{"dog":{}}}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_of_changes_is_set_aside_and_told(tmp_path, caplog, content):
    (tmp_path / "overrides.json").write_bytes(content)
    assert ids(Setup(tmp_path)) == ["dog", "cat"]
    assert (tmp_path / "overrides.broken.json").read_bytes() == content
    assert "set aside" in caplog.text
    caplog.clear()
    Setup(tmp_path)
    assert caplog.text == ""


def test_changes_that_do_not_fit_the_file_any_more_are_left_out_and_told(tmp_path, caplog):
    Setup(tmp_path).control.enable_label("cat", enabled=False)
    setup = Setup(tmp_path, labels=(DOG,))
    assert ids(setup) == ["dog"]
    assert "label cat: prompts: is missing" in caplog.text


def test_changes_hold_though_they_cannot_be_kept_and_that_is_told_once(tmp_path, caplog):
    setup = Setup(tmp_path / "state")
    (tmp_path / "state").write_text("in the way")
    setup.control.set_threshold("dog", 0.7)
    setup.control.set_threshold("dog", 0.8)
    assert setup.thresholds("dog") == [0.8, 0.8]
    assert not setup.control.saved
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1
    (tmp_path / "state").unlink()
    setup.control.set_threshold("dog", 0.8)
    assert setup.control.saved
    assert Setup(tmp_path / "state").thresholds("dog") == [0.8, 0.8]


def test_switched_off_by_an_earlier_run_is_told_at_the_start(tmp_path, caplog):
    Setup(tmp_path).control.arm(armed=False)
    Setup(tmp_path)
    assert "detection is disarmed" in caplog.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*LabelConfig.model_fields, "colour"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, values, max_size=5), st.sampled_from(["dog", "bird", "", None]))
def test_whatever_is_put_is_a_label_or_a_refusal_in_one_line(content, id_):
    setup = Setup()
    if id_ is not None:
        content = content | {"id": id_}
    refused = []
    try:
        setup.control.put_label(content)
    except ConfigError as error:
        refused = [str(error)]
    change = setup.control.take_change()
    assert (change is None) == bool(refused)
    assert all("\n" not in why for why in refused)
    assert change is not None or setup.control.active_labels.labels == (DOG, CAT)


def examples_of(*vectors, label="bell", identity="fake"):
    rows = quantised(np.eye(16, dtype=np.float32)[list(vectors)])
    return Examples(label, identity, rows, tuple(f"{place}.wav" for place in vectors))


def test_a_label_is_learned_at_run_time_and_still_there_after_a_restart_and_a_reload(tmp_path):
    setup = Setup(tmp_path)
    setup.control.learn(examples_of(3, 4), {"name": "Our bell"})
    assert ids(setup) == ["dog", "cat", "bell"]
    change = setup.control.take_change()
    assert change.prototypes.directions.vectors[2, [3, 4]] == pytest.approx([0.5**0.5] * 2, abs=1e-3)
    again = Setup(tmp_path)
    assert ids(again) == ["dog", "cat", "bell"]
    assert again.control.active_labels.find("bell").title == "Our bell"
    again.control.reload()
    again.control.learn(examples_of(5))
    assert again.control.examples["bell"].origins == ("3.wav", "4.wav", "5.wav")
    again.control.learn(examples_of(6), replace_known=True)
    assert again.control.examples["bell"].origins == ("6.wav",)


def test_examples_of_a_label_with_prompts_change_its_direction_only(tmp_path):
    setup = Setup(tmp_path)
    before = setup.control.active_labels.find("dog")
    setup.control.learn(examples_of(3, label="dog"))
    assert setup.control.active_labels.find("dog") == before.model_copy(update={"examples": True})
    fingerprint = setup.control.take_change().prototypes.fingerprints[0]
    setup.control.forget("dog")
    assert setup.control.take_change().prototypes.fingerprints[0] != fingerprint
    assert list((tmp_path / "examples").iterdir()) == []
    assert Setup(tmp_path).control.active_labels.find("dog") == before


def test_a_sound_marked_wrong_is_a_rival_of_its_label_until_it_is_taken_back(tmp_path):
    setup = Setup(tmp_path)
    before = setup.control.active_labels.find("dog")
    setup.control.learn(as_rivals(examples_of(3, label="dog")))
    assert setup.control.active_labels.find("dog") == before
    changed = setup.control.take_change().prototypes.fingerprints
    assert Setup(tmp_path).control.examples["dog"].rival_origins == ("3.wav",)
    setup.control.learn(examples_of(4, label="dog"), replace_known=True)
    assert setup.control.examples["dog"].rival_origins == ("3.wav",)
    setup.control.learn(as_rivals(examples_of(5, label="cat")))
    setup.control.take_back("cat", "3.wav")
    setup.control.take_back("dog", "3.wav")
    assert setup.control.examples["dog"].rival_origins == ()
    assert setup.control.examples["cat"].rival_origins == ("5.wav",)
    after = setup.control.take_change().prototypes.fingerprints
    assert (changed[0] != after[0], changed[1] != after[1]) == (True, True)
    with pytest.raises(ConfigError, match="there is no label 'bell'"):
        setup.control.learn(as_rivals(examples_of(3)))


def test_a_label_cannot_be_left_with_nothing():
    setup = Setup()
    setup.control.learn(examples_of(3))
    with pytest.raises(ConfigError, match="label bell has no prompts"):
        setup.control.forget("bell")
    with pytest.raises(ConfigError, match="prompts: is missing"):
        setup.control.put_label({"id": "bell", "examples": False})


def test_examples_of_another_checkpoint_are_refused():
    setup = Setup()
    with pytest.raises(ConfigError, match="the examples of bell were learned with another checkpoint"):
        setup.control.learn(examples_of(3, identity="other"))
    assert ids(setup) == ["dog", "cat"]


def test_examples_that_cannot_be_saved_hold_until_the_end_of_the_run(tmp_path, caplog):
    setup = Setup(tmp_path)
    (tmp_path / "examples").write_text("in the way")
    setup.control.learn(examples_of(3))
    assert not setup.control.saved
    assert ids(setup) == ["dog", "cat", "bell"]
    assert "changes last until the end of this run" in caplog.text
    (tmp_path / "examples").unlink()
    setup.control.set_threshold("bell", 0.7)
    assert setup.control.saved
    assert Setup(tmp_path).control.examples["bell"].origins == ("3.wav",)


def test_a_reload_reads_examples_that_were_put_into_the_state_directory(tmp_path):
    setup = Setup(tmp_path)
    store_examples(tmp_path, examples_of(3))
    setup.config = setup.config.model_copy(update={"labels": (DOG, LabelConfig(id="bell", examples=True))})
    setup.control.reload()
    assert setup.control.take_change().prototypes.directions.vectors[1, 3] == pytest.approx(1.0)
