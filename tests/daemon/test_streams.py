"""Cameras under the whole daemon: a real RTSP server that is killed and restarted, and one that hangs."""

import json

import pytest
import soundfile

from tests.support.broker import eventually
from tests.support.camera_monitor import camera_monitor
from tests.support.command_line import ROOT, clap_monitor, events_of, start
from tests.support.rtsp import RtspServer


@pytest.fixture
def monitor(tmp_path):
    with camera_monitor(tmp_path) as monitor:
        yield monitor


def restart_cameras(monitor):
    monitor.server.kill()
    monitor.wait_until("offline")
    monitor.server.start()
    monitor.wait_until("online")


def test_cameras_that_are_restarted_five_times_come_back_and_leave_nothing_behind(monitor):
    restart_cameras(monitor)  # files that are opened with the first windows are open afterwards
    threads, files = monitor.process.num_threads(), monitor.process.num_fds()
    for _ in range(4):
        restart_cameras(monitor)
    eventually(lambda: monitor.process.num_threads() <= threads)
    eventually(lambda: monitor.process.num_fds() <= files)


def test_a_camera_that_hangs_with_its_connection_open_is_offline_until_it_is_back(monitor):
    monitor.server.freeze()
    monitor.wait_until("offline")
    monitor.server.thaw()
    monitor.wait_until("online")
    monitor.server.freeze()
    monitor.wait_until("offline")
    monitor.server.kill()
    monitor.server.start()
    monitor.wait_until("online")
    assert monitor.radio_stayed_online


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
    assert "contains a user or a password" in done.stderr
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
            while "is offline" not in said:
                said += process.stderr.readline()
        finally:
            process.kill()
            said += process.communicate()[1]
    assert "it refuses the username or the password" in doctor.stdout
    assert "it refuses the username or the password" in said
    for secret in ("hunter2", "token123", "%23"):
        assert secret not in doctor.stdout + doctor.stderr + said
