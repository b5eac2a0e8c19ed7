"""Real monitors that follow the watchlist of a fleet over a real broker."""

from contextlib import ExitStack

import numpy as np
import pytest
import soundfile as sf

from monitor.config import Config, FleetConfig, MqttConfig, SourceConfig
from monitor.daemon.build import build
from tests.support.broker import Broker, eventually
from tests.support.command_line import clap_monitor
from tests.support.fleet_nodes import Speaker
from tests.support.monitor_in_process import RunningMonitor
from tests.support.watchlists import text, write_keys

pytestmark = pytest.mark.broker


def quiet_room(directory):
    """Return a source that outlasts the test."""
    noise = np.random.default_rng(1).integers(-200, 200, 600 * 8000, np.int16)
    sf.write(directory / "room.wav", noise, 8000)
    return SourceConfig(name="crib", kind="file", path=directory / "room.wav")


def labels_of(monitor):
    return [label.id for label in monitor.daemon.parts.control.active_labels.enabled]


def test_a_push_reaches_monitors_live_a_refusal_says_why_and_a_rollback_undoes_it(tmp_path):
    private, public = write_keys(tmp_path)
    room = quiet_room(tmp_path)
    for name, folder in (("one", "dog_bark"), ("two", "cat_meow")):
        (tmp_path / f"{name}.yaml").write_text(
            f"labels: [{{id: {folder}, prompts: [the sound of a {name}]}}]\n"
        )
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker, ExitStack() as running:
        (tmp_path / "fleet.yaml").write_text(
            f"mqtt: {{host: {broker.host}, port: {broker.port}}}\nfleet: {{public_key_file: {public}}}\n"
        )
        fleet = FleetConfig(follow=True, public_key_file=public)
        picky = room.model_copy(update={"labels": ("dog",)})
        house, attic = (
            running.enter_context(
                RunningMonitor(broker, tmp_path / node, source, keys={"fleet": fleet, "node": node})
            )
            for node, source in (("house", room), ("attic", picky))
        )

        def labels(*words):
            options = ("--config", "fleet.yaml")
            done = clap_monitor("fleet", "labels", *words, *options, cwd=tmp_path)
            assert done.stderr == ""
            return done

        pushed = labels("push", "one.yaml", "--key", private)
        assert "1 of 2 following nodes have it in force" in pushed.stdout
        refused = "source crib detects dog, which is not in the watchlist"
        assert f"attic: refused: {refused}" in pushed.stdout
        assert pushed.returncode == 1
        assert (labels_of(house), labels_of(attic)) == (["dog_bark"], ["dog"])
        eventually(lambda: "dog_bark" in broker.retained()["clap-monitor/house/labels"])
        problems = attic.daemon.parts.snapshot()["problems"]
        assert {"what": "fleet", "why": f"watchlist refused: {refused}"} in problems

        labels("push", "two.yaml", "--key", private)
        assert labels_of(house) == ["cat_meow"]
        labels("rollback", "--key", private)
        assert labels_of(house) == ["dog_bark"]

        with Speaker(broker) as thief:
            thief.say("fleet/labels", text(2**40, "thief"), retain=True)
        eventually(lambda: "not signed" in str(house.daemon.parts.follower.document()["reason"]))
        assert labels_of(house) == ["dog_bark"]
    alone = build(
        Config(
            sources=(room,),
            fleet=fleet,
            mqtt=MqttConfig(host="127.0.0.1", port=9),
            state=tmp_path / "house" / "state",
            recordings=tmp_path / "house" / "recordings",
        )
    )
    alone.http_servers.close()
    assert [label.id for label in alone.control.active_labels.enabled] == ["dog_bark"]
