"""The access list of the documentation, as it is, in a real mosquitto."""

import json

import pytest

from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT, clap_monitor
from tests.support.fleet_nodes import Speaker, info
from tests.support.mqtt_publisher import CONFIG, MIC, NODE, make, running, started

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("no_home_assistant_is_waited_for")]

ACCESS = (ROOT / "config" / "mosquitto" / "fleet.acl").read_text()
USERS = dict.fromkeys(("livingroom", "attic", "operator", "homeassistant"), "secret")


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder, users=USERS, access=ACCESS) as started:
        yield started


def login(user):
    return {"username": user, "password": "secret"}


def test_a_node_can_do_its_work_and_reach_no_other_node(broker):
    attic = {"clap-monitor/attic/status": "online", "clap-monitor/attic/porch/event": "{}"}
    with (
        Subscriber(broker, "#", **login("operator")) as operator,
        Subscriber(broker, "#", **login("attic")) as other,
        running(make(broker.port, **login("livingroom"))) as mqtt,
        Speaker(broker, **login("livingroom")) as thief,
        Speaker(broker, **login("operator")) as boss,
    ):
        mqtt.set_online("mic0", online=True)
        mqtt.put(started())
        operator.wait_for(f"{MIC}/event")
        eventually(lambda: (mqtt.status.waiting, mqtt.status.problems) == (0, []))
        for topic, content in attic.items():
            thief.say(topic.removeprefix("clap-monitor/"), content, retain=True)
        thief.say("attic/armed/set", "OFF")
        thief.say("fleet/labels", "{}", retain=True)
        boss.say("attic/armed/set", "OFF")
        boss.say("fleet/labels", "the labels", retain=True)
        for everyone in (operator, other):  # one broker, one order: what was let through came before
            everyone.wait_for("clap-monitor/fleet/labels")
        allowed = [("clap-monitor/attic/armed/set", "OFF"), ("clap-monitor/fleet/labels", "the labels")]
        assert [(each.topic, each.text) for each in other.messages()] == allowed
        beyond = [each for each in operator.messages() if not each.topic.startswith(f"{NODE}/")]
        assert [(each.topic, each.text) for each in beyond] == allowed
    with Subscriber(broker, "#", **login("homeassistant")) as home:
        home.wait_for(CONFIG)


def test_the_operator_sees_the_fleet(broker, tmp_path):
    with Speaker(broker, **login("attic")) as node:
        node.say("attic/status", "online", retain=True)
        node.say("attic/info", info(), retain=True)
    (tmp_path / "password").write_text("secret\n")
    login_lines = "username: operator, password_file: password"
    (tmp_path / "fleet.yaml").write_text(
        f"mqtt: {{host: {broker.host}, port: {broker.port}, {login_lines}}}\n"
    )
    done = clap_monitor("fleet", "--config", "fleet.yaml", "--json", cwd=tmp_path)
    assert done.stderr == ""
    assert json.loads(done.stdout)["node"] == "attic"
