"""The monitor is told what to listen for over a real broker, as Home Assistant and scripts do it."""

import json
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from monitor.daemon.control_socket import ask_once
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT, start
from tests.support.homeassistant import HomeAssistant

pytestmark = pytest.mark.broker

RATE = 32_000
NODE = "clap-monitor/attic"
ROOSTER = "stdin_SOUND_rooster"
CONFIG = """
node: attic
mqtt: {{host: 127.0.0.1, port: {port}}}
labels:
  - {{id: rooster, prompts: [a rooster crowing], threshold: 0.6}}
"""


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as broker:
        (tmp_path / "monitor.yaml").write_text(CONFIG.format(port=broker.port))
        yield broker


@contextmanager
def monitor(directory):
    """Run a monitor that hears what is written to its standard input; it is killed at the end."""
    process = start(
        "run", "--config", "monitor.yaml", "--source", "-", "--rate", RATE, "--fast", "--json",
        cwd=directory, stdin=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def status(directory):
    return ask_once(directory / "state", {"command": "status"})


def feed(process, samples):
    process.stdin.buffer.write(samples.tobytes())
    process.stdin.buffer.flush()


def demo(start, stop):
    samples, _ = soundfile.read(
        ROOT / "recordings/demo.flac", dtype="int16", start=start * RATE, stop=stop * RATE
    )
    return samples


def say(subscriber, topic, text):
    subscriber._client.publish(f"{NODE}/{topic}", text, qos=1)


def test_a_threshold_is_obeyed_echoed_and_kept_across_a_restart(tmp_path, broker):
    topic = f"{NODE}/stdin/threshold/rooster"
    with Subscriber(broker) as subscriber:
        with monitor(tmp_path) as process:
            subscriber.wait_for(topic, "0.6")
            say(subscriber, "stdin/threshold/rooster/set", "0.99")
            subscriber.wait_for(topic, "0.99")
            assert broker.retained()[topic] == "0.99"
            feed(process, demo(14, 29))  # the rooster crows from 20 s on
            eventually(lambda: (w := status(tmp_path)["windows"])["scored"] + w["unchanged"] >= 20)
            assert subscriber.texts(f"{NODE}/stdin/event") == []
            say(subscriber, "stdin/threshold/rooster/set", "0.5")
            subscriber.wait_for(topic, "0.5")
            feed(process, demo(14, 29))
            assert json.loads(subscriber.wait_for(f"{NODE}/stdin/event")[0])["threshold"] == 0.5
        with monitor(tmp_path) as process:
            subscriber.wait_for(f"{NODE}/status", "online")
            eventually(lambda: subscriber.texts(f"{NODE}/status").count("online") == 2)
            assert broker.retained()[topic] == "0.5"
            assert (tmp_path / "monitor.yaml").read_text() == CONFIG.format(port=broker.port)


def test_a_label_comes_by_a_sentence_and_goes_again_and_home_assistant_sees_both(tmp_path, broker):
    with HomeAssistant(broker) as home, Subscriber(broker) as subscriber, monitor(tmp_path) as process:
        eventually(lambda: home.state(ROOSTER) is not None)
        say(subscriber, "labels/set", json.dumps({"id": "dog", "prompts": ["a dog barking"]}))
        eventually(lambda: home.state("stdin_SOUND_dog") is not None)
        eventually(lambda: home.state("stdin_THRESHOLD_dog") is not None)
        feed(process, demo(20, 35))  # the dog barks at 30 s
        subscriber.wait_for(f"{NODE}/stdin/score/dog")
        eventually(lambda: "dog" in event_types(subscriber))
        last = json.loads(eventually(lambda: broker.retained().get(f"{NODE}/stdin/last")))
        assert last["event_type"] in {"rooster", "dog"}
        say(subscriber, "labels/set", json.dumps({"id": "dog", "remove": True}))
        eventually(lambda: "stdin_SOUND_dog" not in home.components)
        eventually(lambda: not [topic for topic in broker.retained() if "/dog" in topic])
        assert home.state(ROOSTER) is not None
        assert "dog" not in broker.retained()[f"{NODE}/labels"]
        process.communicate(timeout=60)
        assert process.returncode == 0


def event_types(subscriber):
    return {json.loads(text)["event_type"] for text in subscriber.texts(f"{NODE}/stdin/event")}


def test_switched_off_nothing_is_scored_which_is_shown_and_switched_on_it_is(tmp_path, broker):
    with Subscriber(broker) as subscriber, monitor(tmp_path) as process:
        subscriber.wait_for(f"{NODE}/armed/state", "ON")
        feed(process, demo(14, 23))
        first = json.loads(subscriber.wait_for(f"{NODE}/stdin/event")[0])
        assert first["phase"] == "start"
        say(subscriber, "armed/set", "OFF")
        subscriber.wait_for(f"{NODE}/armed/state", "ON", "OFF")
        end = json.loads(subscriber.wait_for(f"{NODE}/stdin/event", count=2)[1])
        assert (end["event_id"], end["phase"]) == (first["event_id"], "end")
        assert end["reason"] in {"disarmed", "quiet"}
        feed(process, demo(14, 29))
        eventually(lambda: status(tmp_path)["sources"]["stdin"]["windows"]["gated"].get("disarmed", 0) >= 20)
        assert not status(tmp_path)["armed"]
        assert len(subscriber.texts(f"{NODE}/stdin/event")) == 2
        say(subscriber, "armed/set", "ON")
        subscriber.wait_for(f"{NODE}/armed/state", "OFF", "ON")
        feed(process, demo(14, 29))
        subscriber.wait_for(f"{NODE}/stdin/event", count=3)


def test_nonsense_under_every_topic_is_refused_with_a_reason_and_does_nothing(tmp_path, broker):
    random = np.random.default_rng(4)
    topics = [
        "armed/set",
        "labels/set",
        "stdin/threshold/rooster/set",
        "stdin/threshold/dog/set",
        "x/threshold/y/set",
    ]
    with Subscriber(broker, f"{NODE}/refused") as refused, monitor(tmp_path) as process:
        eventually(lambda: broker.retained().get(f"{NODE}/armed/state") == "ON")
        before = status(tmp_path)["labels"]
        for number in range(20):
            for topic in topics:
                refused._client.publish(f"{NODE}/{topic}", random.bytes(number * number + 1), qos=1)
        refused._client.publish(f"{NODE}/labels/set", b"[" * 200_000, qos=1)
        refused._client.publish(f"{NODE}/stdin/threshold/rooster/set", "1.5", qos=1)
        last = "threshold: 1.5 is not in [0, 1]"
        eventually(lambda: refused.messages() and json.loads(refused.messages()[-1].text)["reason"] == last)
        assert all(json.loads(message.text)["reason"] for message in refused.messages())
        seen = {json.loads(message.text)["topic"] for message in refused.messages()}
        assert seen == {f"{NODE}/{topic}" for topic in topics}
        now = status(tmp_path)
        assert (now["labels"], now["armed"], now["changed_at_run_time"]) == (before, True, False)
        # The broker keeps the 200,000 bytes to itself: MQTT 5 has told it what is too large for us.
        assert now["commands"]["refused"] + now["commands"]["lost"] == 101
        assert process.poll() is None
        assert not (tmp_path / "state/overrides.json").exists()


def test_a_reload_moves_to_another_base_topic_and_commands_are_taken_there(tmp_path, broker):
    with Subscriber(broker) as subscriber, monitor(tmp_path) as process:
        subscriber.wait_for(f"{NODE}/status", "online")
        text = (tmp_path / "monitor.yaml").read_text().replace("mqtt: {", "mqtt: {base_topic: ears, ")
        (tmp_path / "monitor.yaml").write_text(text)
        assert ask_once(tmp_path / "state", {"command": "reload"})["changed"] == ["mqtt.base_topic: changed"]
        subscriber.wait_for("ears/attic/status", "online")
        subscriber._client.publish("ears/attic/armed/set", "OFF", qos=1)
        subscriber.wait_for("ears/attic/armed/state", "OFF")
        eventually(lambda: not [topic for topic in broker.retained() if topic.startswith(NODE)])
        feed(process, demo(14, 16))
        process.communicate(timeout=60)
        assert process.returncode == 0
