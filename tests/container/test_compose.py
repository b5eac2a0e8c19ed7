"""Compose files: what they name exists, and their broker lets each user do what the page of MQTT says."""

import re

import pytest
from paho.mqtt import publish

from tests.support.broker import Broker, Subscriber
from tests.support.command_line import ROOT
from tests.support.container_files import DIRECTORY, compose, instructions

MAIN = compose("compose.yaml")
MORE = ["compose.sound-card.yaml", "compose.desktop.yaml"]
FILES = [MAIN, *map(compose, MORE)]
SERVICES = [service for file in FILES for service in file["services"].values()]
FOUND = instructions(DIRECTORY / "Containerfile")


def mounts():
    """Return (source, target) of every volume."""
    for service in SERVICES:
        for line in service.get("volumes", ()):
            source, target, *_ = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", line).split(":")
            yield source, target


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared():
    for source, _ in mounts():
        if source.startswith("."):
            assert (DIRECTORY / source).exists(), source
        elif not source.startswith("/"):
            assert source in MAIN["volumes"]
    assert {source for source, _ in mounts() if source.startswith("/")} == {"/run/user/1000/pulse/native"}


def test_the_monitor_is_the_image_with_its_volumes_and_its_port():
    monitor = MAIN["services"]["monitor"]
    build = monitor["build"]
    assert (DIRECTORY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    volumes = next(each.words for each in FOUND if each.name == "VOLUME")
    assert [line.split(":")[1] for line in monitor["volumes"]] == volumes
    exposed = next(each.text for each in FOUND if each.name == "EXPOSE")
    assert monitor["ports"] == [f"{exposed}:{exposed}"]


def test_services_depend_on_services_that_exist():
    for service in MAIN["services"].values():
        assert set(service.get("depends_on", ())) <= set(MAIN["services"])
    assert all(set(file["services"]) <= set(MAIN["services"]) for file in FILES)


def test_every_variable_has_a_default():
    for name in ("compose.yaml", *MORE):
        assert not re.search(r"\$\{\w+\}|\$\w", (DIRECTORY / name).read_text())


def test_the_access_list_is_the_one_of_the_documentation():
    assert f"```text\n{(DIRECTORY / 'mosquitto/acl').read_text()}```" in (ROOT / "docs/mqtt.md").read_text()


@pytest.mark.broker
def test_its_broker_lets_everybody_do_what_they_need_and_no_more(tmp_path):
    lines = (DIRECTORY / "mosquitto/mosquitto.conf").read_text().splitlines()
    ours = ("listener", "allow_anonymous", "password_file", "acl_file", "persistence_location")
    assert {line.split()[0] for line in lines} == {*ours, "persistence"}
    users = dict.fromkeys(["clap-monitor", "home-assistant", "phone"], "secret")
    access = (DIRECTORY / "mosquitto/acl").read_text()

    def say(user, topic):
        auth = {"username": user, "password": "secret"}
        publish.single(topic, user, qos=1, hostname=broker.host, port=broker.port, auth=auth)

    with (
        Broker(tmp_path, users=users, access=access) as broker,
        Subscriber(broker, username="home-assistant", password="secret") as home,
    ):
        say("phone", "clap-monitor/home/armed/set")
        say("clap-monitor", "clap-monitor/elsewhere/status")
        say("clap-monitor", "clap-monitor/home/status")
        say("home-assistant", "clap-monitor/home/armed/set")
        home.wait_for("clap-monitor/home/armed/set", "home-assistant")
        topics = [message.topic for message in home.messages()]
    assert topics == ["clap-monitor/home/status", "clap-monitor/home/armed/set"]
