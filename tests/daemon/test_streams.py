"""Cameras under the whole daemon: a real RTSP server that is killed and restarted, and one that hangs."""

import json
from contextlib import contextmanager

import psutil
import pytest
import soundfile

from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT, clap_monitor, events_of, start
from tests.support.http_radio import Radio
from tests.support.rtsp import RtspServer

PATIENCE = 120
CAMERAS = ("aac", "opus")


def topic(source):
    return f"clap-monitor/home/{source}/status"


class House:
    """A daemon that listens to two cameras of one server and to a radio that has nothing to do with it."""

    def __init__(self, process, subscriber, server):
        self.process = psutil.Process(process.pid)
        self.subscriber = subscriber
        self.server = server

    def wait_until(self, state):
        for source in CAMERAS:
            eventually(lambda s=source: self.subscriber.texts(topic(s))[-1:] == [state], PATIENCE)

    @property
    def states_of_the_radio(self):
        return self.subscriber.texts(topic("radio"))


@contextmanager
def monitor_of(tmp_path):
    """Everything in its own process but the radio; `House` once both cameras are heard."""
    with (
        Broker(tmp_path) as broker,
        Subscriber(broker, "#") as subscriber,
        RtspServer(tmp_path) as server,
        Radio("mp3") as radio,
    ):
        sources = [{"name": name, "kind": "stream", "url": server.url(name)} for name in CAMERAS]
        sources.append({"name": "radio", "kind": "stream", "url": radio.url()})
        (tmp_path / "monitor.yaml").write_text(
            f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}\n"
            f"sources: {sources}\n"
            "labels: [{id: beep, prompts: [a long beep]}]\n"
        )
        process = start("run", "--config", "monitor.yaml", cwd=tmp_path)
        try:
            house = House(process, subscriber, server)
            house.wait_until("online")
            eventually(lambda: house.states_of_the_radio == ["offline", "online"], PATIENCE)
            yield house
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def house(tmp_path):
    with monitor_of(tmp_path) as house:
        yield house


def test_cameras_that_are_restarted_five_times_come_back_and_leave_nothing_behind(house):
    threads, files = house.process.num_threads(), house.process.num_fds()
    for _ in range(5):
        house.server.kill()
        house.wait_until("offline")
        house.server.start()
        house.wait_until("online")
    eventually(lambda: house.process.num_threads() <= threads, PATIENCE)
    eventually(lambda: house.process.num_fds() <= files, PATIENCE)


def test_a_camera_that_hangs_with_its_connection_open_is_offline_until_it_is_back(house):
    house.server.freeze()
    house.wait_until("offline")
    house.server.thaw()
    house.wait_until("online")
    house.server.freeze()
    house.wait_until("offline")
    house.server.kill()
    house.server.start()
    house.wait_until("online")
    assert house.states_of_the_radio == ["offline", "online"]


def test_a_camera_is_tried_from_the_command_line(tmp_path):
    rooster, rate = soundfile.read(ROOT / "recordings/demo.flac", start=19 * 32_000, stop=29 * 32_000)
    label = ("--label", "a rooster crowing")
    with RtspServer(tmp_path, rooster, rate) as server:
        process = start("run", "--source", server.url("aac"), *label, "--json", cwd=tmp_path)
        try:
            event = json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.communicate()
        done = clap_monitor("run", "--source", server.url("none"), *label, cwd=tmp_path)
    assert (event["source"], event["event_type"]) == ("127_0_0_1", "a_rooster_crowing")
    assert done.returncode == 66
    assert done.stderr.strip().endswith("it has no such stream (404)")
    assert events_of(done) == []


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path):
    done = clap_monitor("run", "--source", "rtsp://me:hunter2@camera/1", cwd=tmp_path)
    assert done.returncode == 78
    assert "holds a user or a password" in done.stderr
    assert "hunter2" not in done.stderr


def test_what_the_doctor_and_the_log_say_of_a_camera_holds_no_secret(tmp_path):
    with RtspServer(tmp_path, login=("digest", "me", "right")) as server:
        (tmp_path / "password").write_text("hunter2#@")
        source = {
            "name": "door",
            "kind": "stream",
            "url": server.url("aac") + "?token=token123",
            "username": "me",
        }
        (tmp_path / "monitor.yaml").write_text(
            f"sources: [{source | {'password_file': str(tmp_path / 'password')}}]\nlog_level: debug\n"
        )
        doctor = clap_monitor("doctor", "--config", "monitor.yaml", "--seconds", "1", cwd=tmp_path)
        process = start("run", "--config", "monitor.yaml", "--log-json", cwd=tmp_path)
        try:
            said = ""
            while "is deaf" not in said:
                said += process.stderr.readline()
        finally:
            process.kill()
            said += process.communicate()[1]
    assert "it refuses the username or the password" in doctor.stdout
    assert "it refuses the username or the password" in said
    for secret in ("hunter2", "token123", "%23"):
        assert secret not in doctor.stdout + doctor.stderr + said
