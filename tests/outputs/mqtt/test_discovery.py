"""Discovery: what Home Assistant is told, without a broker."""

import json
import re

from monitor.config import LabelConfig
from monitor.outputs.mqtt.discovery import discovery_payload, discovery_topic
from monitor.outputs.mqtt.topics import Topics
from tests.support.discovery_rules import check_discovery

TOPICS = Topics("clap-monitor", "livingroom")
LABELS = (
    LabelConfig(id="glass", name="Glass breaking", prompts=("glass",)),
    LabelConfig(id="alarm", prompts=("a smoke alarm",), device_class="smoke", icon="mdi:fire"),
)


def described(*sources, labels=LABELS, topics=TOPICS, **options):
    by_source = dict.fromkeys(sources or ("mic0",), labels)
    payload = discovery_payload(topics, labels=by_source, model="starter", **options)
    check_discovery(discovery_topic("homeassistant", topics.node), payload)
    return payload


def test_a_source_has_entities_of_its_own_labels_only():
    labels = {"mic0": LABELS, "mic1": LABELS[1:]}
    components = discovery_payload(TOPICS, labels=labels, model="starter")["cmps"]
    assert {"mic0_SOUND_glass", "mic0_SOUND_alarm", "mic1_SOUND_alarm"} < components.keys()
    assert not [key for key in components if key.startswith("mic1") and key.endswith("glass")]
    assert components["mic1_EVENTS"]["evt_typ"] == ["alarm"]


def test_a_node_is_one_device_with_an_origin():
    payload = described()
    assert discovery_topic("homeassistant", "livingroom") == (
        "homeassistant/device/clap_monitor_livingroom/config"
    )
    assert payload["dev"]["ids"] == ["clap_monitor_livingroom"]
    assert payload["o"]["name"] == "clap-monitor"
    assert payload["avty"] == [{"t": "clap-monitor/livingroom/status"}]
    assert json.loads(json.dumps(payload)) == payload


def test_a_label_is_a_binary_sensor_of_its_class_and_a_trigger():
    components = described()["cmps"]
    assert components["mic0_SOUND_glass"] == {
        "p": "binary_sensor",
        "name": "Glass breaking",
        "unique_id": "clap_monitor_livingroom_NODE_mic0_SOUND_glass",
        "default_entity_id": "binary_sensor.livingroom_mic0_glass",
        "obj_id": "livingroom_mic0_glass",
        "dev_cla": "sound",
        "stat_t": "clap-monitor/livingroom/mic0/event/glass/state",
        "json_attr_t": "clap-monitor/livingroom/mic0/event/glass/attributes",
        "avty": [{"t": "clap-monitor/livingroom/status"}, {"t": "clap-monitor/livingroom/mic0/status"}],
        "avty_mode": "all",
    }
    assert components["mic0_SOUND_alarm"]["dev_cla"] == "smoke"
    assert components["mic0_SOUND_alarm"]["ic"] == "mdi:fire"
    assert components["mic0_TRIGGER_glass"] == {
        "p": "device_automation",
        "atype": "trigger",
        "t": "clap-monitor/livingroom/mic0/event/glass/trigger",
        "type": "detected",
        "stype": "mic0 glass",
        "pl": "detected",
    }
    assert components["mic0_EVENTS"]["evt_typ"] == ["glass", "alarm"]


def test_armed_is_a_switch_and_each_threshold_a_number():
    components = described()["cmps"]
    assert components["ARMED"]["p"] == "switch"
    assert components["ARMED"]["cmd_t"] == "clap-monitor/livingroom/armed/set"
    assert components["ARMED"]["stat_t"] == "clap-monitor/livingroom/armed/state"
    number = components["mic0_THRESHOLD_glass"]
    assert (number["p"], number["min"], number["max"], number["step"]) == ("number", 0, 1, 0.01)
    assert number["stat_t"] == "clap-monitor/livingroom/mic0/threshold/glass"
    assert number["cmd_t"] == "clap-monitor/livingroom/mic0/threshold/glass/set"
    assert "ARMED" not in described(commands=False)["cmps"]
    assert not any("cmd_t" in component for component in described(commands=False)["cmps"].values())


def test_scores_are_disabled_by_default_and_the_last_sound_is_not():
    components = described()["cmps"]
    score = components["mic0_SCORE_glass"]
    assert (score["p"], score["en"], score["ent_cat"]) == ("sensor", False, "diagnostic")
    assert score["stat_t"] == "clap-monitor/livingroom/mic0/score/glass"
    assert components["mic0_LAST"]["stat_t"] == "clap-monitor/livingroom/mic0/last"


def test_a_offline_source_can_be_seen_though_its_other_entities_are_unavailable():
    components = described()["cmps"]
    with_source = {key for key, component in components.items() if "avty" in component}
    of_labels = {f"mic0_{what}_{label}" for what in ("SOUND", "SCORE") for label in ("glass", "alarm")}
    assert with_source == {"mic0_EVENTS", "mic0_LEVEL", *of_labels}
    assert components["mic0_OFFLINE"]["dev_cla"] == "problem"


def test_only_periodic_values_expire():
    expiring = {key for key, component in described()["cmps"].items() if "exp_aft" in component}
    assert expiring == {"mic0_LEVEL", "mic0_SCORE_glass", "mic0_SCORE_alarm"}


def test_whatever_sources_and_labels_are_called_no_two_components_are_one():
    labels = [LabelConfig(id=name, prompts=("a",)) for name in ("c", "b_c", "level", "events", "late")]
    nodes = [described("a", "a_b", "late", labels=labels, topics=Topics("x", node)) for node in ("n", "n_a")]
    assert {len(node["cmps"]) for node in nodes} == {2 + 3 * (7 + 4 * 5)}
    ids = [c["unique_id"] for node in nodes for c in node["cmps"].values() if "unique_id" in c]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", key) for key in nodes[0]["cmps"])


def test_entities_keep_their_identifiers_when_something_is_added():
    more = LabelConfig(id="dog", prompts=("a dog",))
    before, after = described()["cmps"], described("mic0", "mic1", labels=[*LABELS, more])["cmps"]
    for key, component in before.items():
        kept = [name for name in ("unique_id", "default_entity_id", "stype") if name in component]
        assert [after[key][name] for name in kept] == [component[name] for name in kept]
    assert after["mic0_SOUND_glass"]["name"] == "Glass breaking, mic0"


def test_every_component_has_the_required_keys():
    for component in described("mic0", "mic1")["cmps"].values():
        if component["p"] != "device_automation":
            domain, _, rest = component["default_entity_id"].partition(".")
            assert domain == component["p"]
            assert re.fullmatch("[a-z0-9]+(_[a-z0-9]+)*", rest)
            assert component["stat_t"]


def test_names_begin_with_the_label_and_end_with_the_source():
    names = {component.get("name") for component in described("mic0", "garden")["cmps"].values()}
    assert {"Alarm, garden", "Threshold: Alarm, garden", "Score: Glass breaking, mic0", "Level, mic0"} < names


def test_the_device_links_to_the_page_where_there_is_one():
    assert described(page="http://pi.local:8095/")["dev"]["cu"] == "http://pi.local:8095/"
    assert "cu" not in described()["dev"]


def test_events_of_a_removed_label_still_have_a_known_type():
    components = described(retired={"mic0": ["dog", "glass"]})["cmps"]
    assert components["mic0_EVENTS"]["evt_typ"] == ["glass", "alarm", "dog"]
    assert "mic0_SOUND_dog" not in components
