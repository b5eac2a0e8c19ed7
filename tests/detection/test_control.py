"""What is listened for now: every way to change it, and that a refused change changes nothing."""

import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config import Config, LabelConfig, SourceConfig
from monitor.detection.control import Control
from monitor.detection.prototypes import build_prototypes
from monitor.types import ConfigError, ModelError, MonitorError

DOG = LabelConfig(id="dog", prompts=("a dog barking",), threshold=0.6)
CAT = LabelConfig(id="cat", prompts=("a cat meowing",), release_threshold=0.4)
SOURCES = tuple(SourceConfig(name=name, kind="microphone") for name in ("porch", "hall"))


def embed(sentences):
    """Embed each sentence as a unit vector of its own, as far as there is room."""
    rows = np.zeros((len(sentences), 16), np.float32)
    for row, text in zip(rows, sentences, strict=True):
        row[sum(text.encode()) % 16] = 1
    return rows


class House:
    """A control, what it embedded, and the file that it was started with."""

    def __init__(self, state=None, labels=(DOG, CAT), check=lambda _: None, **config):
        self.config = Config(sources=SOURCES, labels=labels, background=("rain",), **config)
        self.embedded = []
        self.control = Control(self.config, state=state, reread=lambda: self.config, check=check)
        active_labels = self.control.active_labels
        self.control.begin(
            self.watch, build_prototypes(active_labels.labels, active_labels.background, embed)
        )

    def watch(self, labels, background):
        self.embedded.append([label.id for label in labels])
        return build_prototypes(labels, background, embed)

    def thresholds(self, label):
        return [self.control.active_labels.label(source.name, label).threshold for source in SOURCES]


def ids(house):
    return [label.id for label in house.control.active_labels.enabled]


def test_nothing_is_to_be_taken_over_until_something_changes_and_then_once():
    house = House()
    assert house.control.take() is None
    house.control.set_threshold("dog", 0.7)
    assert house.control.take().active_labels.label("hall", "dog").threshold == 0.7
    assert house.control.take() is None


def test_of_changes_that_were_not_taken_the_newest_holds_all_of_them():
    house = House()
    house.control.set_threshold("dog", 0.7)
    house.control.arm(armed=False)
    house.control.remove_label("cat")
    active_labels = house.control.take().active_labels
    assert (active_labels.armed, [label.id for label in active_labels.enabled]) == (False, ["dog"])
    assert active_labels.label("porch", "dog").threshold == 0.7


def test_a_threshold_is_of_one_source_or_of_all():
    house = House()
    house.control.set_threshold("dog", 0.9, "hall")
    assert house.thresholds("dog") == [0.6, 0.9]
    house.control.set_threshold("dog", 0.3)
    assert house.thresholds("dog") == [0.3, 0.3]
    assert [label.release for label in house.control.active_labels.at("hall")] == [0.15, 0.4]


def test_a_release_threshold_comes_down_with_its_threshold_and_no_further_up_than_it_was():
    house = House()
    for threshold, release in ((0.2, 0.2), (0.9, 0.2)):
        house.control.set_threshold("cat", threshold)
        assert house.control.active_labels.everywhere("cat").release == release
    house.control.set_threshold("cat", 0.1, "porch")
    assert house.control.active_labels.label("porch", "cat").release == 0.1
    assert house.control.active_labels.label("hall", "cat").release == 0.2


def test_only_new_sentences_are_embedded():
    house = House()
    house.control.set_threshold("dog", 0.7)
    house.control.arm(armed=False)
    house.control.put_label({"id": "dog", "name": "Our dog"})
    assert house.embedded == []
    house.control.put_label({"id": "kettle", "prompts": ["a kettle whistling"]})
    house.control.put_label({"id": "dog", "prompts": ["a dog howling"]})
    assert house.embedded == [["dog", "cat", "kettle"]] * 2
    assert house.control.take().prototypes.labels == ("dog", "cat", "kettle")


def test_a_label_is_added_changed_key_by_key_and_removed():
    house = House()
    house.control.put_label({"id": "kettle", "prompts": ["a kettle"], "threshold": 0.8, "against": ["wind"]})
    house.control.put_label({"id": "kettle", "name": "Tea", "threshold": None})
    kettle = house.control.active_labels.everywhere("kettle")
    assert (kettle.title, kettle.prompts, kettle.against) == ("Tea", ("a kettle",), ("wind",))
    assert kettle.threshold == 0.5
    house.control.remove_label("kettle")
    house.control.enable_label("cat", enabled=False)
    assert ids(house) == ["dog"]


def test_a_threshold_in_a_label_that_is_put_holds_for_every_source():
    house = House()
    house.control.set_threshold("dog", 0.9, "hall")
    house.control.put_label({"id": "dog", "name": "Rex"})
    assert house.thresholds("dog") == [0.6, 0.9]
    house.control.put_label({"id": "dog", "threshold": 0.4})
    assert house.thresholds("dog") == [0.4, 0.4]


REFUSED = [
    (lambda c: c.set_threshold("dog", 1.4), "threshold: 1.4 is not in [0, 1]"),
    (lambda c: c.set_threshold("dog", "high"), 'threshold: "high" is not a number'),
    (lambda c: c.set_threshold("dog", float("nan")), "threshold: "),
    (lambda c: c.set_threshold("bird", 0.5), "there is no label 'bird'"),
    (lambda c: c.set_threshold("dog", 0.5, "attic"), "there is no source 'attic'; there is porch, hall"),
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
    house = House()
    with pytest.raises(ConfigError) as caught:
        change(house.control)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    left = house.control.active_labels
    assert left.labels[-1] == CAT
    assert ids(House()) == ["dog", "cat"]


def test_there_are_no_more_labels_than_the_file_may_have():
    labels = tuple(LabelConfig(id=f"l{number}", prompts=("a",)) for number in range(200))
    house = House(labels=labels)
    with pytest.raises(ConfigError, match="there would be 201; 200"):
        house.control.put_label({"id": "one_more", "prompts": ["b"]})


def test_sentences_that_cannot_be_embedded_change_nothing(tmp_path):
    house = House(tmp_path)

    def fail(*_):
        raise ModelError("the text tower is gone")

    house.control.begin(fail, None)
    with pytest.raises(ModelError):
        house.control.put_label({"id": "kettle", "prompts": ["a kettle"]})
    assert ids(house) == ["dog", "cat"]
    assert house.control.take() is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_changed_is_known_to_the_next_run_and_the_rest_is_as_the_file_says(tmp_path):
    house = House(tmp_path)
    house.control.set_threshold("dog", 0.9, "hall")
    house.control.put_label({"id": "kettle", "prompts": ["a kettle"]})
    house.control.remove_label("cat")
    house.control.arm(armed=False)
    again = House(tmp_path, labels=(DOG.model_copy(update={"name": "Rex"}), CAT))
    assert again.control.active_labels.armed is False
    assert ids(again) == ["dog", "kettle"]
    assert again.thresholds("dog") == [0.6, 0.9]
    assert again.control.active_labels.everywhere("dog").title == "Rex"
    assert again.control.overridden
    again.control.reset()
    assert (ids(again), again.control.active_labels.armed, again.control.overridden) == (
        ["dog", "cat"],
        True,
        False,
    )
    assert House(tmp_path).control.active_labels == House().control.active_labels


def test_without_a_state_directory_nothing_is_kept():
    House().control.set_threshold("dog", 0.9)
    assert House().thresholds("dog") == [0.6, 0.6]


def test_a_new_file_keeps_what_was_changed_at_run_time_as_far_as_it_fits(tmp_path, caplog):
    house = House(tmp_path)
    house.control.enable_label("cat", enabled=False)
    house.control.set_threshold("dog", 0.9, "hall")
    bird = LabelConfig(id="bird", prompts=("a bird",))
    house.config = house.config.model_copy(update={"labels": (DOG, bird)})
    caplog.set_level(logging.INFO)
    done = house.control.reload()
    assert done.changed == ("labels: cat removed", "labels: bird added")
    assert len(done.left_out) == 1
    assert done.left_out[0].startswith("label cat: ")
    assert ids(house) == ["dog", "bird"]
    assert house.thresholds("dog") == [0.6, 0.9]
    assert "label cat: " in caplog.text
    assert not json.loads((tmp_path / "overrides.json").read_text())["labels"]


def test_what_cannot_be_swapped_is_named_and_stays():
    house = House()
    before = house.config
    window = before.window.model_copy(update={"seconds": 2.0})
    dog = DOG.model_copy(update={"threshold": 0.7, "prompts": ("a hound",)})
    house.config = before.model_copy(
        update={"window": window, "node": "attic", "labels": (dog, CAT), "silence_dbfs": -60.0}
    )
    done = house.control.reload()
    assert done.needs_restart == ("node: changed", "window.seconds: changed")
    assert done.changed == (
        "silence_dbfs: -70 -> -60",
        "labels: dog.prompts: changed",
        "labels: dog.threshold: 0.6 -> 0.7",
    )
    change = house.control.take()
    assert (change.config.node, change.config.window) == (before.node, before.window)
    assert change.active_labels.silence_dbfs == -60.0
    assert house.control.reload().needs_restart == done.needs_restart


def test_clip_lengths_and_limits_change_at_run_time_but_not_the_format_of_a_begun_clip():
    house = House()
    clips = house.config.clips.model_copy(update={"format": "wav", "keep_days": 3.0, "enabled": True})
    house.config = house.config.model_copy(update={"clips": clips})
    done = house.control.reload()
    assert done.changed == ("clips.keep_days: 30 -> 3",)
    assert done.needs_restart == ("clips.enabled: false -> true", "clips.format: changed")


def test_mqtt_is_switched_on_and_off_by_a_restart_only():
    house = House()
    mqtt = house.config.mqtt.model_copy(update={"host": "broker", "port": 1884})
    house.config = house.config.model_copy(update={"mqtt": mqtt})
    done = house.control.reload()
    assert done.needs_restart == ("mqtt.host: changed", "mqtt.port: 1883 -> 1884")
    assert house.control.config.mqtt.host is None


def test_a_file_that_is_refused_changes_nothing_and_every_fault_stands_in_the_status(caplog):
    house = House()

    def refuse():
        raise ConfigError("monitor.yaml:3: first\nmonitor.yaml:9: second")

    house.control._reread = refuse
    with pytest.raises(ConfigError, match="first"):
        house.control.reload()
    assert house.control.reloaded.faults == ("monitor.yaml:3: first", "monitor.yaml:9: second")
    assert house.control.take() is None
    assert "monitor.yaml:9: second" in caplog.text


def test_what_a_new_file_needs_is_looked_for_before_it_is_taken_over():
    def check(_):
        raise MonitorError("mqtt.ca_file: is not there")

    house = House(check=check)
    house.config = house.config.model_copy(update={"silence_dbfs": -60.0})
    with pytest.raises(MonitorError, match="ca_file"):
        house.control.reload()
    assert house.control.config.silence_dbfs == -70.0


def test_no_file_no_reload():
    control = Control(Config())
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
    assert ids(House(tmp_path)) == ["dog", "cat"]
    assert (tmp_path / "overrides.broken.json").read_bytes() == content
    assert "set aside" in caplog.text
    caplog.clear()
    House(tmp_path)
    assert caplog.text == ""


def test_changes_that_do_not_fit_the_file_any_more_are_left_out_and_told(tmp_path, caplog):
    House(tmp_path).control.enable_label("cat", enabled=False)
    house = House(tmp_path, labels=(DOG,))
    assert ids(house) == ["dog"]
    assert "label cat: prompts: is missing" in caplog.text


def test_changes_hold_though_they_cannot_be_kept_and_that_is_told_once(tmp_path, caplog):
    house = House(tmp_path / "state")
    (tmp_path / "state").write_text("in the way")
    house.control.set_threshold("dog", 0.7)
    house.control.set_threshold("dog", 0.8)
    assert house.thresholds("dog") == [0.8, 0.8]
    assert not house.control.kept
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1
    (tmp_path / "state").unlink()
    house.control.set_threshold("dog", 0.8)
    assert house.control.kept
    assert House(tmp_path / "state").thresholds("dog") == [0.8, 0.8]


def test_switched_off_by_an_earlier_run_is_told_at_the_start(tmp_path, caplog):
    House(tmp_path).control.arm(armed=False)
    House(tmp_path)
    assert "listening is switched off" in caplog.text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from([*LabelConfig.model_fields, "colour"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(keys, values, max_size=5), st.sampled_from(["dog", "bird", "", None]))
def test_whatever_is_put_is_a_label_or_a_refusal_in_one_line(content, id_):
    house = House()
    if id_ is not None:
        content = content | {"id": id_}
    refused = []
    try:
        house.control.put_label(content)
    except ConfigError as error:
        refused = [str(error)]
    change = house.control.take()
    assert (change is None) == bool(refused)
    assert all("\n" not in why for why in refused)
    assert change is not None or house.control.active_labels.labels == (DOG, CAT)
