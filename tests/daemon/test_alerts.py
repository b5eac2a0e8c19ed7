"""People and commands are told by the whole monitor, and neither delays the broker."""

import json
import re
import sys

import pytest

from tests.support.broker import Broker, Subscriber
from tests.support.command_line import ROOT, clap_monitor, events_of
from tests.support.http_receiver import WebHook

DEMO = ROOT / "recordings/demo.flac"
SECRET = "t0psecret"


@pytest.fixture
def web_hook():
    with WebHook() as hook:
        yield hook


def run(tmp_path, web_hook, *, more="", **options):
    """Run the demo to its end, as fast as the model goes, with these keys beside those of the demo."""
    demo = (ROOT / "config/demo.yaml").read_text()
    (tmp_path / "phone").write_text(web_hook.url(SECRET, user="me:hunter2@") + "\n")
    (tmp_path / "monitor.yaml").write_text(f"{demo}\nlog_level: debug\n{more}\n")
    return clap_monitor(
        "run", "--config", "monitor.yaml", "--source", DEMO, "--fast", "--json", cwd=tmp_path, **options
    )


def hook(script, *arguments, **keys):
    """Return the configuration of one hook."""
    command = [sys.executable, "-c", script, *arguments]
    return f"hooks: {json.dumps([{'name': 'siren', 'command': command, **keys}])}"


PHONE = "notify: [{name: phone, url_file: phone, cooldown_seconds: 0, labels: [rooster, dog_bark]}]"


def test_people_and_commands_are_told_what_the_broker_is_told(tmp_path, web_hook):
    record = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"
    path = tmp_path / "recorded"
    done = run(
        tmp_path, web_hook, more=f"{PHONE}\n{hook(record, str(path), phases=['start', 'end'])}", seconds=300
    )
    assert done.returncode == 0, done.stderr
    events = events_of(done)
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(each["event_id"], each["phase"]) for each in told] == [
        (each["event_id"], each["phase"]) for each in events
    ]
    starts = [
        e["label_name"]
        for e in events
        if e["phase"] == "start" and e["event_type"] in {"rooster", "dog_bark"}
    ]
    # On a busy machine the shutdown may end first; a message whose answer comes too late is counted as well.
    undelivered = sum(map(int, re.findall(r"(\d+) messages undelivered at shutdown", done.stderr)))
    assert web_hook.titles == starts[: len(web_hook.titles)]
    assert len(starts) - len(web_hook.titles) <= undelivered
    assert SECRET not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_service_and_a_command_that_hang_delay_nothing_and_end_with_the_monitor(tmp_path, web_hook):
    web_hook.behaviour = "hang"
    with Broker(tmp_path) as broker, Subscriber(broker, "#") as subscriber:
        mqtt = f"mqtt: {{host: 127.0.0.1, port: {broker.port}}}"
        hang = hook("import time; print('stuck', flush=True); time.sleep(1000)", timeout_seconds=600)
        done = run(tmp_path, web_hook, more=f"{PHONE}\n{mqtt}\n{hang}", seconds=300)
        assert done.returncode == 0, done.stderr
        subscriber.settle()
        published = [
            json.loads(message.text) for message in subscriber.messages() if message.topic.endswith("/event")
        ]
    assert [(e["event_id"], e["phase"]) for e in published] == [
        (e["event_id"], e["phase"]) for e in events_of(done)
    ]
    assert len(published) > 4
    assert "undelivered at shutdown" in done.stderr
    assert "hook siren: was killed: the monitor is ending: stuck" in done.stderr
    assert SECRET not in done.stderr
    assert "hunter2" not in done.stderr


def test_what_a_service_refuses_is_said_without_its_address(tmp_path, web_hook):
    web_hook.status = 403
    done = run(tmp_path, web_hook, more=PHONE, seconds=300)
    assert done.returncode == 0
    assert "notify phone: " in done.stderr
    assert "403" in done.stderr or "undelivered at shutdown" in done.stderr  # the latter on a busy machine
    assert SECRET not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("notify: [{name: phone, url_file: none}]", "notify: phone: url_file: none: no such file"),
        (
            "notify: [{name: phone, url_env: NONE}]",
            "notify: phone: url_env: the environment variable NONE is not",
        ),
        (
            "notify: [{name: phone, url_file: bad}]",
            "notify: phone: url_file: Apprise does not recognize the address",
        ),
        (
            "hooks: [{name: siren, command: [no-such-siren]}]",
            'hooks: siren: command: "no-such-siren" is not an executable program',
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(tmp_path, more, fault):
    (tmp_path / "bad").write_text("nosuch://hunter2")
    source = f"sources: [{{name: demo, kind: file, path: {DEMO}}}]"
    (tmp_path / "monitor.yaml").write_text(f"{source}\n{more}\n")
    done = clap_monitor("run", "--config", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert fault in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_the_doctor_sees_it_too(tmp_path):
    (tmp_path / "monitor.yaml").write_text("hooks: [{name: siren, command: [no-such-siren]}]\n")
    done = clap_monitor("doctor", "--config", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert 'hooks: siren: command: "no-such-siren" is not an executable program' in done.stdout


def test_a_test_message_arrives_or_says_why_not(tmp_path, web_hook):
    (tmp_path / "phone").write_text(web_hook.url(SECRET) + "\n")
    quiet = "quiet_hours: [00:00-24:00]"
    (tmp_path / "monitor.yaml").write_text(f"notify: [{{name: phone, url_file: phone, {quiet}}}]\n")
    done = clap_monitor("notify", "--config", "monitor.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "phone: sent\n", "")
    assert web_hook.titles == ["clap-monitor as home"]
    web_hook.status = 403
    done = clap_monitor("notify", "--config", "monitor.yaml", cwd=tmp_path)
    assert done.returncode == 75
    assert "403" in done.stdout
    assert SECRET not in done.stdout + done.stderr


def test_there_must_be_somebody_to_send_a_test_message_to(tmp_path):
    done = clap_monitor("notify", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (78, "notify: no target is configured\n")
