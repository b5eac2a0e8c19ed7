"""Prompt packs: their labels load, and a configuration includes and changes them."""

import pytest

from monitor.config import Config, LabelConfig, load, warnings
from monitor.config.prompt_packs import PACKS, pack_labels
from monitor.types import ConfigError
from tests.support.command_line import ROOT


def config_of(tmp_path, text):
    path = tmp_path / "monitor.yaml"
    path.write_text(text)
    return load(path)


def ids(config):
    return [label.id for label in config.labels]


@pytest.mark.parametrize("pack", PACKS)
def test_every_label_of_a_pack_is_valid_and_without_warnings(pack):
    config = Config.model_validate({"include": [pack]})
    assert len(config.labels) == len(pack_labels(pack)) >= 3
    assert all(label.icon and len(label.prompts) >= 2 for label in config.labels)
    assert warnings(config, window_seconds=1.0) == []


def test_no_label_is_in_two_packs():
    every = [label["id"] for pack in PACKS for label in pack_labels(pack)]
    assert len(every) == len(set(every))
    assert warnings(Config.model_validate({"include": list(PACKS)}), window_seconds=1.0) == []


@pytest.mark.parametrize("pack", PACKS)
def test_the_documentation_names_every_label(pack):
    names = ", ".join(f"`{label['id']}`" for label in pack_labels(pack))
    assert f"| `{pack}` | {names} |" in (ROOT / "docs/packs.md").read_text()


def test_a_configuration_that_includes_packs_detects_their_labels_only(tmp_path):
    config = config_of(tmp_path, "include: [pets, door]\n")
    assert ids(config) == [label["id"] for pack in ("pets", "door") for label in pack_labels(pack)]


def test_own_labels_come_first_and_change_those_of_a_pack_by_key(tmp_path):
    config = config_of(
        tmp_path,
        """
include: [pets]
labels:
  - {id: kettle, prompts: [a kettle whistling]}
  - {id: cat_meow, threshold: 0.7}
  - {id: dog_bark, prompts: [my dog], icon: mdi:paw}
""",
    )
    assert ids(config)[:3] == ["kettle", "cat_meow", "dog_bark"]
    assert len(ids(config)) == 1 + len(pack_labels("pets"))
    _, cat, dog, *_ = config.labels
    known = {label["id"]: LabelConfig.model_validate(label) for label in pack_labels("pets")}
    assert cat == known["cat_meow"].model_copy(update={"threshold": 0.7})
    assert (dog.prompts, dog.icon) == (("my dog",), "mdi:paw")


def test_sources_may_name_labels_of_a_pack(tmp_path):
    text = "include: [pets]\nsources: [{name: yard, kind: microphone, labels: [%s]}]\n"
    assert config_of(tmp_path, text % "hen").sources[0].labels == ("hen",)
    with pytest.raises(ConfigError, match=r'"baby_cry" is not the id of a label'):
        config_of(tmp_path, text % "baby_cry")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("include: [safty]", 'yaml:1: include[0]: "safty" is not one of appliances, care, door, guards'),
        ("include: pets", 'yaml:1: include: "pets" is text, not a list; write ["pets"]'),
        ("include: [pets, 3]", "yaml:1: include[1]: 3 is not one of"),
        ("include: [[pets]]", "yaml:1: include[0]: a list is not one of"),
        (
            "include: [pets]\nlabels:\n  - id: a\n    prompts: [b]\n  - id: hen\n    threshold: 2",
            "yaml:6: labels[1].threshold: 2 is not in [0, 1]",
        ),
        ("include: [pets]\nlabels: 3", "yaml:2: labels: 3 is not a list"),
        ("include: [pets]\nlabels: [3]", "yaml:2: labels[0]: is a number, not a mapping"),
        ("include: [pets]\nlabels: [{id: [3]}]", "labels[0].id"),
        ("include: [pets]\nlabels: [{id: hen}, {id: hen}]", '"hen" is already the id of labels[0]'),
        ("include: []\nlabels: []", "yaml:2: labels: is empty; give at least one"),
        ("labels: [{id: a, prompts: [b], icon: fire}]", '"fire" is not an icon of Material Design such as'),
    ],
)
def test_errors_name_line_key_and_fix(tmp_path, text, words):
    with pytest.raises(ConfigError) as refused:
        config_of(tmp_path, text)
    assert words in str(refused.value)
