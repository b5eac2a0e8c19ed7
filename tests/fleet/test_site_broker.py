"""A broker for each site, bridged to the one of the centre with the configuration of the documentation."""

import re

import pytest

from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT
from tests.support.fleet_nodes import Speaker, event

pytestmark = pytest.mark.broker

DOCS = (ROOT / "docs/fleet.md").read_text()
ACCESS = (ROOT / "config/mosquitto/fleet.acl").read_text()
USERS = {"operator": "o", "site-hall": "h"}


def block(first_line):
    """Return the block of the documentation that begins with a line."""
    return re.search(rf"^```text\n({re.escape(first_line)}\n.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)[1]


def folder(path):
    path.mkdir()
    return path


@pytest.fixture
def centre(tmp_path):
    access = ACCESS + block("# more lines of /etc/mosquitto/fleet.acl at the centre")
    with Broker(folder(tmp_path / "centre"), users=USERS, tls=True, access=access, sessions=True) as started:
        yield started


@pytest.fixture
def site(tmp_path, centre):
    text = block("# /etc/mosquitto/conf.d/centre.conf at a site")
    changes = {
        "centre.example:8883": f"{centre.host}:{centre.port}",
        "/etc/mosquitto/certs/ca.pem": str(centre.ca_file),
        "remote_password ...": "remote_password h",
    }
    for given, here in changes.items():
        assert given in text
        text = text.replace(given, here)
    with Broker(folder(tmp_path / "site"), options=[*text.splitlines(), "restart_timeout 1"]) as started:
        eventually(lambda: "Received CONNACK" in started.log)
        yield started


OPERATOR = {"username": "operator", "password": "o"}


def test_the_centre_has_what_it_needs_of_a_site_and_the_site_the_watchlist(site, centre):
    with Subscriber(centre, session="reader", **OPERATOR) as reader, Speaker(site) as nodes:
        nodes.introduce("hall-2")  # not in the access list of the centre
        nodes.introduce("hall-1")
        nodes.say("hall-1/porch/level", {"level_dbfs": -40.0})
        nodes.say("hall-1/porch/event", event("hall-1"))
        reader.wait_for("clap-monitor/hall-1/porch/event")
        assert [message.topic for message in reader.messages()] == [
            "clap-monitor/hall-1/status",
            "clap-monitor/hall-1/info",
            "clap-monitor/hall-1/porch/event",
        ]
    with Subscriber(centre, **OPERATOR) as newcomer:
        for name in ("status", "info"):
            newcomer.wait_for(f"clap-monitor/hall-1/{name}")
        assert all(message.retained for message in newcomer.messages())
    with Speaker(centre, **OPERATOR) as operator, Subscriber(site, "clap-monitor/#") as node:
        operator.say("fleet/labels", '{"version": 1}', retain=True)
        assert node.wait_for("clap-monitor/fleet/labels") == ['{"version": 1}']


def test_events_wait_at_the_site_while_its_line_is_down(site, centre):
    with Subscriber(centre, "clap-monitor/+/+/event", session="reader", **OPERATOR) as reader:
        centre.stop()
        with Speaker(site) as nodes:
            for number in range(20):
                nodes.say("hall-1/porch/event", f"{number}")
        centre.start()
        found = reader.wait_for("clap-monitor/hall-1/porch/event", count=20)
    assert sorted(set(found), key=int) == [str(number) for number in range(20)]
