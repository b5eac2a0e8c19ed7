"""A stage that hangs or dies ends the process, which says which one it was; systemd or no systemd."""

import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.command_line import ENVIRONMENT, ROOT

DEMO = ROOT / "recordings/demo.flac"
SECONDS = 600


def configuration(directory, path=DEMO):
    """Write one; the paths in it are absolute."""
    file = directory / "monitor.yaml"
    file.write_text(
        f"state: {directory}/state\n"
        f"sources: [{{name: demo, kind: file, path: {path}}}]\n"
        "labels: [{id: dog, prompts: [a dog barking]}]\n"
    )
    return file


def troubled(trouble, patience, config, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.broken_model", trouble, str(patience), str(config)],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        stderr=subprocess.PIPE,
        text=True,
    )


def ending(process):
    """Exit code, and what was said on standard error."""
    try:
        _, said = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    return process.returncode, said


@pytest.fixture
def endless(tmp_path):
    """Return a file that nobody else can open, for as long as the kernel lets us keep it: 45 s."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # how the kernel says that somebody wants it
    path = tmp_path / "endless.wav"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    yield path
    os.close(descriptor)
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def supervisor(tmp_path):
    """Return a real notify socket, and what is to be in the environment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(SECONDS)
        yield channel, {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}


def heard(channel, process):
    """Everything that a service manager hears until the end, one set of assignments a message."""
    messages = []
    while not messages or "STOPPING=1" not in messages[-1]:
        messages.append(set(channel.recv(4096).decode().splitlines()))
        assert process.poll() is None or "STOPPING=1" in messages[-1], messages
    return messages


def test_an_analysis_that_hangs_ends_the_process_which_names_it(tmp_path):
    code, said = ending(troubled("hangs", 1.0, configuration(tmp_path)))
    assert code == 1
    assert "CRITICAL monitor.daemon.watchdog: 'analyse' hangs: no progress for 6 s; the monitor ends" in said
    assert "in hangs" in said  # where it was
    assert "HangError: 'analyse' hangs" in said


def test_an_analysis_that_dies_ends_the_process_which_names_it(tmp_path):
    code, said = ending(troubled("dies", 60.0, configuration(tmp_path)))
    assert code == 1
    assert "RuntimeError: the tower has fallen" in said
    assert "in thread 'analyse'" in said


def test_a_source_that_hangs_ends_the_process_which_names_it(tmp_path, endless):
    code, said = ending(troubled("hangs", 1.0, configuration(tmp_path, endless)))
    assert code == 1
    assert "'listen demo' hangs" in said


def test_notifications_are_ready_then_watchdogs_then_none_while_the_model_hangs(tmp_path, supervisor):
    channel, environment = supervisor
    process = troubled("hangs", 3.0, configuration(tmp_path), **environment)
    messages = heard(channel, process)
    code, _ = ending(process)
    assert code == 1
    fed = ["WATCHDOG=1" in message for message in messages]
    ready = next(i for i, message in enumerate(messages) if "READY=1" in message)
    last = max(i for i, is_fed in enumerate(fed) if is_fed)
    assert not any(fed[:ready])
    assert all(fed[ready : last + 1])
    starved = messages[last + 1 : -1]
    assert len(starved) > 1
    assert sum("READY=1" in message for message in messages) == 1
    assert "STOPPING=1" in messages[-1]


def test_a_supervisor_hears_neither_ready_nor_watchdog_of_a_source_that_is_stuck(
    tmp_path, endless, supervisor
):
    channel, environment = supervisor
    process = troubled("hangs", 1.0, configuration(tmp_path, endless), **environment)
    messages = heard(channel, process)
    assert ending(process)[0] == 1
    assert not {"READY=1", "WATCHDOG=1"} & set().union(*messages)
    assert "STOPPING=1" in messages[-1]
