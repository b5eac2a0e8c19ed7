"""The whole house: a virtual microphone, the daemon, a real broker, and somebody who listens to it."""

import json
import signal
import time

import pytest
import soundfile

from tests.support.broker import PATIENCE, Broker, Subscriber, eventually
from tests.support.command_line import ROOT, WINDOW, start

EVENT = "clap-monitor/nursery/crib/event"
DEMO = ROOT / "recordings/demo.flac"


@pytest.fixture
def house(tmp_path, sound_card):
    """Return a running daemon on the virtual microphone, its broker and a subscriber."""
    with Broker(tmp_path) as broker, Subscriber(broker, "#") as subscriber:
        (tmp_path / "monitor.yaml").write_text(
            f"""
node: nursery
mqtt: {{host: 127.0.0.1, port: {broker.port}}}
sources: [{{name: crib, kind: microphone, device: {sound_card.microphone}}}]
labels: [{{id: rooster, prompts: [a rooster crowing, a cock crowing in the morning]}}]
"""
        )
        process = start("run", "--config", "monitor.yaml", "--json", cwd=tmp_path, env=sound_card.environment)
        try:
            eventually(lambda: subscriber.texts("clap-monitor/nursery/crib/status")[-1:] == ["online"])
            yield process, subscriber, sound_card
        finally:
            process.kill()
            process.communicate()


def test_a_sound_in_the_room_is_an_event_on_the_broker_and_the_service_ends_well(house, tmp_path):
    process, subscriber, card = house
    scene = tmp_path / "scene.wav"
    samples, rate = soundfile.read(DEMO, start=13 * 32_000, stop=29 * 32_000, dtype="float32")
    soundfile.write(scene, samples, rate)
    played_at = time.time()
    with card.play(scene) as player:
        events = [json.loads(text) for text in subscriber.wait_for(EVENT)]
        assert player.wait(PATIENCE) == 0
    over_at = time.time()
    assert events[0]["event_type"] == "rooster"
    assert events[0]["phase"] == "start"
    # paplay takes a while to begin, and on a busy machine longer; its 16 s were over when it had ended.
    assert played_at + 7.0 - WINDOW <= events[0]["started_at"] <= over_at - 9.0 + WINDOW
    state = "clap-monitor/nursery/crib/event/rooster/state"
    eventually(lambda: "ON" in subscriber.texts(state))
    level = json.loads(subscriber.wait_for("clap-monitor/nursery/crib/level")[-1])
    assert level["level_dbfs"] is None or level["level_dbfs"] < 0

    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    eventually(lambda: subscriber.texts("clap-monitor/nursery/status")[-1] == "offline")
    events = [json.loads(text) for text in subscriber.texts(EVENT)]
    assert {e["event_id"] for e in events if e["phase"] == "start"} == {
        e["event_id"] for e in events if e["phase"] == "end"
    }
    assert subscriber.texts(state)[-1] == "OFF"
    assert [json.loads(line)["event_id"] for line in process.stdout] == [e["event_id"] for e in events]


def test_a_microphone_that_is_lost_is_offline_and_comes_back_by_itself(house):
    _, subscriber, card = house
    status = "clap-monitor/nursery/crib/status"
    card.unplug()
    eventually(lambda: subscriber.texts(status)[-1:] == ["offline"])
    card.plug_in()
    card.hum()
    eventually(lambda: subscriber.texts(status)[-1:] == ["online"])
