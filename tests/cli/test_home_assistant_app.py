"""The Home Assistant app: what its panel, the user's file and the Supervisor become, and what goes wrong."""

import json
import os
import signal

import pytest

from monitor.cli.home_assistant_app import Places, prepare
from monitor.cli.supervisor import NoBrokerError, SupervisorError, ask_broker
from monitor.config import load
from monitor.types import ConfigError, ExitCode, OutputError
from tests.support.broker import Broker, Subscriber, eventually
from tests.support.command_line import ROOT, clap_monitor, start
from tests.support.fake_supervisor import MOSQUITTO, TOKEN, FakeSupervisor
from tests.support.small_disk import fill, remount, small_disk

CAMERA = {"name": "porch", "url": "rtsp://10.0.0.7/1", "username": "viewer", "password": "s3cret"}


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERVISOR_TOKEN", TOKEN)
    made = Places(*(tmp_path / name for name in ("config", "data", "media")))
    for place in (made.config, made.data, made.media):
        place.mkdir()
    return made


def choose(places, **options):
    (places.data / "options.json").write_text(json.dumps(options))


def prepared(places, **supervisor):
    with FakeSupervisor(**supervisor) as fake:
        passwords = prepare(places, fake.address)
    return load(places.effective), passwords


def test_the_panel_and_the_supervisor_are_enough(places):
    choose(places, microphone=True, streams=[CAMERA], packs=["safety", "pets"])
    config, passwords = prepared(places)
    assert [(source.name, source.kind) for source in config.sources] == [
        ("microphone", "microphone"),
        ("porch", "stream"),
    ]
    assert {"smoke_alarm", "dog_bark"} <= {label.id for label in config.labels}
    mqtt, web = config.mqtt, config.web
    assert (mqtt.host, mqtt.port, mqtt.username, mqtt.tls) == ("core-mosquitto", 1883, "addons", False)
    assert passwords == {mqtt.password_env: "aePhee5ai", config.sources[1].password_env: "s3cret"}
    assert (web.enabled, web.host, web.port, web.ingress) == (True, "0.0.0.0", 8099, True)
    assert (config.state, config.recordings) == (places.data / "state", places.media / "clap-monitor")
    text = places.effective.read_text()
    assert "aePhee5ai" not in text
    assert "s3cret" not in text
    assert {
        path.stat().st_mode & 0o777 for path in places.data.glob("*.json") if "options" not in path.name
    } == {0o600}


def test_the_users_file_replaces_the_panel_and_is_not_touched(places, capsys):
    choose(places, microphone=True, packs=["safety"])
    text = """# mine
node: attic
sources: [{name: radio, kind: stream, url: "http://radio.local/1"}]
mqtt: {base_topic: sounds}
web: {port: 1, allowed_origins: ["http://a.example"]}
"""
    places.user_file.write_text(text)
    config, _ = prepared(places)
    assert config.node == "attic"
    assert [source.name for source in config.sources] == ["radio"]
    assert "smoke_alarm" in {label.id for label in config.labels}
    assert (config.mqtt.host, config.mqtt.base_topic) == ("core-mosquitto", "sounds")
    assert (config.web.port, config.web.allowed_origins) == (8099, ("http://a.example",))
    assert places.user_file.read_text() == text
    assert f"sources: as in {places.user_file}; what the panel" in capsys.readouterr().err


def test_a_broker_of_the_users_own_is_used_and_the_supervisor_not_asked(places):
    places.user_file.write_text("mqtt: {host: broker.local}\n")
    with FakeSupervisor() as fake:
        assert prepare(places, fake.address) == {}
        assert fake.asked == []
    assert load(places.effective).mqtt.host == "broker.local"


def test_the_first_start_explains_where_everything_else_is_configured(places):
    prepared(places)
    assert load(places.user_file) == load(ROOT / "monitor/config/example.yaml")
    assert load(places.config / "all-keys.yaml") == load(places.user_file)
    assert all(line.startswith("#") for line in places.user_file.read_text().splitlines())


UNUSABLE = "the Supervisor's answer about the MQTT broker cannot be used: "


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            400,
            {"result": "error", "message": "Service not enabled"},
            "Home Assistant has no MQTT broker: install",
        ),
        (403, {}, "the Supervisor refuses to name the MQTT broker (HTTP 403): reinstall this app"),
        (502, b"Bad gateway", "the Supervisor answers HTTP 502 when asked for the MQTT broker"),
        (200, b"<html>", f"{UNUSABLE}is not JSON"),
        (200, b"", f"{UNUSABLE}is not JSON"),
        (200, [1], f"{UNUSABLE}it names no host and port"),
        (200, {"result": "ok", "data": {"host": "a", "port": "x"}}, f"{UNUSABLE}it names no host and port"),
        (200, {"data": {"host": "a", "port": 1, "password": 7}}, f"{UNUSABLE}user name or password is not a"),
        (200, b"[" * 70_000, UNUSABLE),
        (200, None, "does not say which MQTT broker to use: no answer within 1 s"),
    ],
)
def test_every_other_answer_is_one_line(status, body, said):
    with FakeSupervisor(status, body) as fake, pytest.raises(SupervisorError) as raised:
        ask_broker(TOKEN, fake.address, seconds=1 if body is None else 60)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, NoBrokerError) == (status == 400)


def test_a_wrong_token_and_no_supervisor_are_named():
    with FakeSupervisor() as fake:
        with pytest.raises(SupervisorError, match=r"refuses to name the MQTT broker \(HTTP 401\)"):
            ask_broker("another", fake.address)
        with pytest.raises(SupervisorError, match="SUPERVISOR_TOKEN is not set"):
            ask_broker(None, fake.address)
    with pytest.raises(SupervisorError, match="does not say which MQTT broker to use: Connection refused"):
        ask_broker(TOKEN, fake.address)


def test_a_supervisor_that_does_not_answer_leaves_the_broker_of_the_last_start(places, capsys):
    prepared(places)
    config, passwords = prepared(places, status=500, body=b"")
    assert config.mqtt.host == "core-mosquitto"
    assert passwords[config.mqtt.password_env] == "aePhee5ai"
    assert (
        "HTTP 500 when asked for the MQTT broker; core-mosquitto is used, as before"
        in capsys.readouterr().err
    )
    config, _ = prepared(places, status=400, body=b"")
    assert config.mqtt.host is None
    assert "until then nothing is published" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"microphone": False}, "no source: switch on the microphone or add a stream"),
        ({"packs": ["guns"]}, 'options of the app: packs[0]: "guns"'),
        ({"streams": [{"name": "Porch", "url": "rtsp://a/1"}]}, "options of the app: streams[0].name"),
        ({"streams": [{**CAMERA, "url": "porch"}]}, "sources[1].url"),
        ({"streams": [{**CAMERA, "name": "microphone"}]}, "microphone"),
    ],
)
def test_an_option_that_cannot_be_used_is_named_and_nothing_is_written(places, options, said):
    choose(places, **options)
    with pytest.raises(ConfigError) as raised:
        prepared(places)
    assert said in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert {path.name for path in places.data.iterdir()} <= {"options.json", "broker.json"}
    assert not list(places.config.iterdir())


def test_an_error_of_the_user_names_the_users_file_and_line(places):
    places.user_file.write_text("node: attic\nsilence_dbfs: loud\n")
    with pytest.raises(ConfigError, match=rf"{places.user_file}:2: silence_dbfs"):
        prepared(places)
    places.user_file.write_text("node: [\n")
    with pytest.raises(ConfigError, match=rf"{places.user_file}:"):
        prepared(places)
    assert not places.effective.exists()


@pytest.mark.root
def test_a_config_directory_that_cannot_be_written_is_said_and_not_needed(places, capsys):
    with small_disk(places.config):
        remount(places.config, "ro")
        config, _ = prepared(places)
    assert config.mqtt.host == "core-mosquitto"
    assert f"{places.config}: cannot be written: Read-only file system" in capsys.readouterr().err


def test_a_full_disk_is_one_line_and_does_not_matter_if_nothing_has_changed(places, full_disk, capsys):
    full = Places(places.config, full_disk, places.media)
    with pytest.raises(OutputError, match=r"monitor\.yaml: cannot be written: No space left on device"):
        prepared(full)
    assert [path.name for path in full_disk.iterdir()] == ["filler"]
    (full_disk / "filler").unlink()
    prepared(full)
    fill(full_disk)
    capsys.readouterr()
    assert prepared(full)[0].mqtt.host == "core-mosquitto"
    assert "broker.json: cannot be written: No space left on device" in capsys.readouterr().err


@pytest.mark.broker
def test_the_app_runs_publishes_with_the_broker_of_home_assistant_and_ends_with_a_signal(places, tmp_path):
    places.user_file.write_text(
        f"sources: [{{name: demo, kind: file, path: {ROOT / 'recordings/demo.flac'}}}]\n"
    )
    choose(places, packs=["pets"])
    data = MOSQUITTO["data"]
    with (
        Broker(tmp_path, users={"addons": data["password"]}) as broker,
        Subscriber(broker, username="addons", password=data["password"]) as home,
        FakeSupervisor(body={"data": {**data, "host": broker.host, "port": str(broker.port)}}) as fake,
        start(
            "home-assistant-app", "--config", places.config, "--data", places.data, "--media", places.media,
            "--supervisor", fake.address, cwd=tmp_path, env={"SUPERVISOR_TOKEN": TOKEN},
        ) as monitor,
    ):  # fmt: skip
        home.wait_for("clap-monitor/home/status", "online")
        assert fake.asked == [("/services/mqtt", f"Bearer {TOKEN}")]
        status = ("status", "--config", places.effective)
        eventually(lambda: clap_monitor(*status, cwd=tmp_path).returncode == 0)
        monitor.send_signal(signal.SIGTERM)
        monitor.communicate(timeout=120)
        home.wait_for("clap-monitor/home/status", "offline")
    assert monitor.returncode == 0
    assert os.listdir(places.data / "state")  # noqa: PTH208


def test_an_app_without_a_source_ends_with_a_line(places, tmp_path):
    choose(places, microphone=False)
    done = clap_monitor(
        "home-assistant-app", "--config", places.config, "--data", places.data, cwd=tmp_path, env={}
    )
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stderr.strip() == (
        "options of the app: no source: switch on the microphone or add a stream, or write sources into "
        f"{places.user_file}"
    )
