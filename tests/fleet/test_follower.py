"""A node that follows the watchlist of its fleet."""

import pytest

from monitor.cli.options import Overrides, settings_from
from monitor.config import Config, FleetConfig, LabelConfig, SourceConfig
from monitor.detection.active_labels import restore_settings
from monitor.detection.control import Control
from monitor.fleet.follower import FILE, Follower
from monitor.fleet.signature import read_signer
from monitor.types import ConfigError
from tests.support.watchlists import text, write_keys
from tests.support.web_server import Engine


class Node:
    """A monitor as far as its labels go; started again, it is another one with the same state."""

    def __init__(self, state, *, public_key=None, detects=None):
        self.fleet = FleetConfig(follow=True, public_key_file=public_key)
        self.file = Config(
            fleet=self.fleet,
            labels=(LabelConfig(id="own", prompts=("my own",)),),
            sources=(SourceConfig(name="crib", kind="microphone", labels=detects),),
        )
        self.follower = Follower(self.fleet, state)
        settings = restore_settings(self.follower.over(self.file), state)
        engine = Engine()
        labels = settings.active_labels
        engine.prototypes = engine.build_prototypes(labels.labels, labels.background, {})
        self.control = Control(settings, engine, state=state, reread=lambda: self.follower.over(self.file))

    @property
    def ids(self):
        return [label.id for label in self.control.active_labels.enabled]

    @property
    def said(self):
        return self.follower.document()

    def receive(self, document):
        self.follower.receive(document, self.control)

    def refuse(self, document, why):
        before = self.ids
        with pytest.raises(ConfigError, match=why):
            self.receive(document)
        assert self.ids == before
        assert why in self.said["reason"]


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_the_labels_of_the_fleet_stand_in_the_place_of_the_configured(node):
    assert (node.ids, node.said["version"]) == (["own"], None)
    node.receive(text(7, "dog", "cat"))
    assert node.ids == ["dog", "cat"]
    assert node.said == {"version": 7, "refused_version": None, "reason": None, "left_out": [], "kept": True}
    assert node.control.take_change().active_labels == node.control.active_labels


def test_the_same_watchlist_again_changes_nothing(node):
    node.receive(text(7, "dog"))
    node.control.take_change()
    node.receive(text(7, "dog"))
    node.receive("")
    assert node.control.take_change() is None
    assert node.ids == ["dog"]


def test_an_older_watchlist_and_another_one_of_the_same_version_are_refused(node):
    node.receive(text(7, "dog"))
    node.refuse(text(6, "cat"), "version 6 is older than 7, which is in force")
    assert (node.said["version"], node.said["refused_version"]) == (7, 6)
    node.refuse(text(7, "cat"), "version 7 is in force, and was another watchlist")
    node.receive(text(8, "cat"))
    assert (node.ids, node.said["reason"]) == (["cat"], None)


def test_what_was_accepted_holds_after_a_start_without_a_broker(node, tmp_path):
    node.receive(text(7, "dog"))
    again = Node(tmp_path)
    assert (again.ids, again.said["version"]) == (["dog"], 7)
    again.refuse(text(6, "cat"), "older than 7")


def test_a_damaged_file_is_named_and_the_configured_labels_hold(node, tmp_path, caplog):
    node.receive(text(7, "dog"))
    (tmp_path / FILE).write_bytes(b"\xff{")
    assert Node(tmp_path).ids == ["own"]
    assert f"{FILE}: byte 0 is not UTF-8 text: waiting for the broker" in caplog.text


def test_changes_made_at_the_node_stay_also_over_a_rollback(node, tmp_path):
    node.receive(text(1, "dog", "cat"))
    node.control.set_threshold("dog", 0.9)
    node.control.set_threshold("cat", 0.8, "crib")
    node.control.remove_label("cat")
    node.receive(text(2, "bell"))
    assert node.ids == ["bell"]
    node.receive(text(3, "dog", "cat", "bell"))
    assert node.ids == ["dog", "bell"]
    assert node.control.active_labels.find("dog").threshold == 0.9
    again = Node(tmp_path)
    assert again.ids == ["dog", "bell"]
    assert again.control.active_labels.find("dog").threshold == 0.9


def test_a_label_added_at_the_node_stays(node):
    node.control.add_label({"id": "kettle", "prompts": ["a kettle"]})
    node.receive(text(1, "dog"))
    assert node.ids == ["dog", "kettle"]


def test_a_source_that_would_have_a_label_no_more_refuses(tmp_path):
    node = Node(tmp_path, detects=("own",))
    node.refuse(text(1, "dog"), "source crib detects own, which is not in the watchlist")
    assert node.said["refused_version"] == 1
    node.receive(text(2, "dog", "own"))
    assert node.ids == ["dog", "own"]


def test_a_reload_of_the_file_keeps_the_labels_of_the_fleet(node):
    node.receive(text(1, "dog"))
    node.control.reload()
    assert node.ids == ["dog"]


def test_with_a_key_only_what_it_signed_is_accepted(tmp_path):
    private, public = write_keys(tmp_path)
    sign, _ = read_signer(private)
    node = Node(tmp_path / "state", public_key=public)
    node.refuse(text(7, "cat"), "the watchlist is not signed")
    assert node.said["refused_version"] == 7
    node.receive(text(3, "dog", sign=sign))
    assert node.ids == ["dog"]
    (tmp_path / "state" / FILE).write_text(text(9, "cat"))
    assert Node(tmp_path / "state", public_key=public).ids == ["own"]


def test_a_full_disk_is_said(full_disk):
    full = Node(full_disk)
    full.receive(text(7, "dog"))
    assert full.ids == ["dog"]
    assert full.said["kept"] is False


def test_a_node_that_does_not_follow_says_nothing(tmp_path):
    assert Follower(FleetConfig(), tmp_path).document() is None


def test_commands_use_the_labels_that_the_monitor_follows(node, tmp_path):
    node.receive(text(7, "dog"))
    (tmp_path / "c.yaml").write_text(f"state: {tmp_path}\nfleet: {{follow: true}}\n")
    assert [label.id for label in settings_from(tmp_path / "c.yaml", Overrides()).labels] == ["dog"]
    given = settings_from(tmp_path / "c.yaml", Overrides(labels=("a cat",)))
    assert ([label.prompts for label in given.labels], given.fleet.follow) == ([("a cat",)], False)
