"""Node info: what a node tells of itself, for a view of many nodes."""

import json

from monitor.config.section import MOST_SOURCES
from monitor.outputs.mqtt.node_info import MAX_TEXT, NodeInfo, info_payload
from monitor.outputs.mqtt.paho_client import MAX_CONTENT_BYTES
from monitor.outputs.mqtt.topics import Topics
from monitor.system.clock_sync import ClockSync
from tests.support.snapshots import NOW, snapshot

CLOCK = ClockSync(synchronised=True, error_seconds=0.004)


def test_it_says_what_a_fleet_must_know_of_a_node():
    found = info_payload(snapshot(), CLOCK, NOW)
    assert found["version"] == "0.1.0"
    assert (found["model"], found["calibration"]) == ("starter", "qualified")
    assert (found["clock_synchronised"], found["clock_error_seconds"]) == (True, 0.004)
    assert found["real_time_factor"] == 0.021
    assert found["sources"]["porch"] == {
        "online": True,
        "offline_reason": None,
        "offline_text": None,
        "overloaded": False,
        "level_dbfs": -41.2,
    }


def test_its_newest_event_is_that_of_any_label():
    last = [
        {"last_event": None, "enabled": True},
        {"last_event": event("dog", 5.0), "enabled": True},
        {"last_event": event("cat", 7.0), "enabled": False},
    ]
    found = info_payload(snapshot(labels=last), CLOCK, NOW)
    assert found["last_event"]["label"] == "cat"
    assert found["labels"] == 2


def test_a_long_text_is_cut():
    problems = [{"what": "broker", "why": "x" * 10_000}] * 50
    found = info_payload(snapshot(problems=problems), CLOCK, NOW)
    assert found["problems"] == [{"what": "broker", "why": "x" * MAX_TEXT}] * 5


def test_a_message_of_as_many_sources_as_there_may_be_can_be_read_when_all_are_offline():
    (source, *_) = snapshot()["sources"].values()
    offline = source | {"online": False, "offline_reason": "unreachable", "offline_text": "x" * 10_000}
    sources = {f"{number:x>32}": offline for number in range(MOST_SOURCES)}
    found = info_payload(snapshot(sources=sources), CLOCK, NOW)
    assert len(found["sources"]) == MOST_SOURCES
    assert len(json.dumps(found)) < MAX_CONTENT_BYTES


def test_it_is_made_once_a_minute_and_after_each_change():
    made, said = [], []

    def take():
        made.append(1)
        return snapshot()

    info = NodeInfo(Topics("clap-monitor", "porch"), lambda *words, **_: said.append(words), lambda: 17)
    info.publish_changes()
    assert said == []
    assert [info.refresh(take), info.refresh(take)] == [True, False]
    info.on_change()
    assert info.refresh(take)
    assert len(made) == 2
    info.publish_changes()
    info.publish_changes()
    ((topic, text),) = said
    assert topic == "clap-monitor/porch/info"
    assert json.loads(text)["entities"] == 17


def event(label, at):
    return {
        "event_id": "1",
        "source": "porch",
        "label": label,
        "label_name": label.title(),
        "started_at": at,
        "ended_at": None,
        "peak_score": 0.9,
        "clip": None,
    }
