import contextlib
import json
import logging
import sys
import threading

import pytest

from monitor.config import HookConfig
from monitor.outputs.hooks import WAITING, Hook
from monitor.types import ConfigError
from tests.support.broker import PATIENCE, eventually
from tests.support.events import payload

RECORD = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')"


def config(*command, **keys):
    return HookConfig(name="siren", command=command, **keys)


@contextlib.contextmanager
def running(hook):
    """Run a hook as the daemon does; at the end everything it was given is done."""
    threads = [threading.Thread(target=hook.run) for _ in range(hook._config.max_parallel)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        hook.close()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def recorded(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_event_comes_on_standard_input_as_the_broker_gets_it(tmp_path):
    hook = Hook(config(sys.executable, "-c", RECORD, str(tmp_path / "events")), node="home", model="starter")
    with running(hook):
        hook.put(payload())
        eventually(lambda: hook.done == 1)
    assert recorded(tmp_path / "events") == [payload()]
    assert (hook.failed, hook.killed, hook.dropped, hook.trouble) == (0, 0, 0, None)


def test_no_shell_looks_at_the_arguments(tmp_path):
    script = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    hook = Hook(
        config(sys.executable, "-c", script, str(tmp_path / "said"), "$HOME; touch x `id` *"),
        node="home",
        model="starter",
    )
    with running(hook):
        hook.put(payload())
        eventually(lambda: hook.done == 1)
    assert (tmp_path / "said").read_text() == "$HOME; touch x `id` *"


def test_it_runs_for_its_labels_and_phases_alone(tmp_path):
    path = tmp_path / "events"
    hook = Hook(
        config(sys.executable, "-c", RECORD, str(path), labels=("dog", "cat"), phases=("end",)),
        node="home",
        model="starter",
    )
    with running(hook):
        hook.put(payload("dog"))
        hook.put(payload("bird", over=True))
        hook.put(payload("cat", over=True))
        hook.put(payload("dog", over=True))
        eventually(lambda: hook.done == 2)
    assert [(event["event_type"], event["phase"]) for event in recorded(path)] == [
        ("cat", "end"),
        ("dog", "end"),
    ]


def test_an_event_waits_until_fewer_than_the_most_run(tmp_path):
    script = """
import os, sys, time, pathlib
place = pathlib.Path(sys.argv[1])
mine = place / f"{os.getpid()}.running"
mine.touch()
deadline = time.monotonic() + 20
most = 0
while not (place / "go").exists() and time.monotonic() < deadline:
    most = max(most, len(list(place.glob("*.running"))))
    time.sleep(0.01)
(place / f"{os.getpid()}.most").write_text(str(most))
mine.unlink()
"""
    hook = Hook(
        config(sys.executable, "-c", script, str(tmp_path), max_parallel=2, timeout_seconds=60),
        node="home",
        model="starter",
    )
    with running(hook):
        for number in range(5):
            hook.put(payload(number=number))
        eventually(lambda: len(list(tmp_path.glob("*.running"))) == 2)
        (tmp_path / "go").touch()
        eventually(lambda: hook.done == 5)
    assert max(int(path.read_text()) for path in tmp_path.glob("*.most")) == 2


def test_one_that_hangs_is_killed_and_the_next_event_has_its_turn(tmp_path, caplog):
    script = f"""
import pathlib, sys, time
first = not pathlib.Path({str(tmp_path / "once")!r}).exists()
pathlib.Path({str(tmp_path / "once")!r}).touch()
if first:
    print("waiting for the siren", flush=True)
    time.sleep(1000)
"""
    hook = Hook(config(sys.executable, "-c", script, timeout_seconds=10.0), node="home", model="starter")
    with caplog.at_level(logging.INFO), running(hook):
        hook.put(payload())
        hook.put(payload(number=2))
        eventually(lambda: hook.done == 1)
    assert (hook.killed, hook.failed) == (1, 0)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "hook siren: was killed: not done within 10 s: waiting for the siren",
        "hook siren: works again",
    ]


def test_a_failure_is_logged_once_with_what_the_command_said(caplog):
    hook = Hook(
        config("sh", "-c", 'echo "no siren\a here"; echo "bye" >&2; exit 3'), node="home", model="starter"
    )
    with running(hook):
        for number in range(3):
            hook.put(payload(number=number))
        eventually(lambda: hook.failed == 3)
    assert [record.getMessage() for record in caplog.records] == [
        "hook siren: failed: exit code 3: no siren? here / bye"
    ]
    assert hook.trouble == "failed: exit code 3: no siren? here / bye"


def test_much_output_is_bounded_in_the_log(caplog):
    hook = Hook(config("sh", "-c", "yes | head -c 5000000; exit 1"), node="home", model="starter")
    with running(hook):
        hook.put(payload())
        eventually(lambda: hook.failed == 1)
    assert len(caplog.records) == 1
    assert len(caplog.records[0].getMessage()) < 500


def test_a_program_that_has_gone_is_a_failure(tmp_path, caplog):
    program = tmp_path / "siren"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    hook = Hook(config(str(program)), node="home", model="starter")
    program.unlink()
    with running(hook):
        hook.put(payload())
        eventually(lambda: hook.failed == 1)
    assert "cannot be started: No such file or directory" in caplog.text


def test_a_program_that_was_never_there_is_said_before_anything_starts(tmp_path):
    (tmp_path / "siren").write_text("not executable")
    for program in ("no-such-siren", str(tmp_path / "siren")):
        with pytest.raises(ConfigError, match="is not an executable program"):
            Hook(config(program), node="home", model="starter")


def test_events_that_wait_too_long_make_room_and_are_counted():
    hook = Hook(config("true"), node="home", model="starter")
    for number in range(WAITING + 5):
        hook.put(payload(number=number))
    assert hook.dropped == 5
    with running(hook):
        eventually(lambda: hook.done == WAITING)


def test_at_the_end_one_that_hangs_is_killed_and_what_waits_is_counted(tmp_path, caplog):
    script = f"import pathlib, time; pathlib.Path({str(tmp_path / 'runs')!r}).touch(); time.sleep(1000)"
    hook = Hook(config(sys.executable, "-c", script, timeout_seconds=600), node="home", model="starter")
    with running(hook):
        hook.put(payload())
        hook.put(payload(number=2))
        eventually((tmp_path / "runs").exists)
    assert (hook.killed, hook.dropped) == (1, 1)
    assert "was killed: the monitor is ending" in caplog.text
