"""Watchdog: what a service manager is told - ready, alive, stopping - and what it must not be told."""

import socket
import subprocess
import sys
import threading

import pytest

from monitor.audio.source_status import SourceStatus
from monitor.config import Config, LabelConfig, SourceConfig
from monitor.daemon.build import build
from monitor.daemon.daemon import Daemon
from monitor.daemon.watchdog import (
    EXTENSION_SECONDS,
    HOPELESS,
    AwakeClock,
    DeadMan,
    Watchdog,
    can_be_written,
    loading,
)
from monitor.types import OfflineReason
from tests.support.broken_model import troubled
from tests.support.command_line import ROOT
from tests.support.observer import Observer

DEMO = ROOT / "recordings/demo.flac"
EXTENSION = f"EXTEND_TIMEOUT_USEC={EXTENSION_SECONDS * 1e6:.0f}"
MESSAGES = 60
"""A supervisor that has not heard what it waits for after so many messages, one a second, gives up."""


class Told(list):
    """What was told, one set of assignments a message."""

    def __call__(self, *assignments):
        self.append(set(assignments))


def liveness_of(*sources, patience=10):
    told = Told()
    return Watchdog({s.name: s for s in sources}, patience, now=0, notify=told), told


def test_it_is_ready_after_the_first_window_and_says_so_once():
    source = SourceStatus("mic", captured=4)
    liveness, told = liveness_of(source)
    liveness.report("listening", now=1)
    source.scored_until = 4
    liveness.report("listening", now=2)
    liveness.report("listening", now=3)
    assert told == [
        {"STATUS=starting: listening", EXTENSION},
        {"STATUS=listening", "READY=1", "WATCHDOG=1"},
        {"STATUS=listening", "WATCHDOG=1"},
    ]


def test_a_silent_room_does_not_keep_it_from_being_ready():
    source = SourceStatus("mic", captured=4, scored_until=4, gated={"digital_silence": 1})
    liveness, _ = liveness_of(source)
    liveness.report("listening", now=1)
    assert liveness.ready


def test_it_is_ready_while_a_device_that_is_not_there_is_awaited():
    source = SourceStatus("mic")
    source.set_offline(OfflineReason.NOT_FOUND, "no microphone is called 'USB'")
    liveness, told = liveness_of(source)
    for now in (1, 100, 200):
        source.looked += 1
        liveness.report("waiting", now=now)
    assert liveness.ready
    assert all("WATCHDOG=1" in message for message in told)


def test_it_is_not_ready_while_one_source_is_awaited_and_the_other_is_gated():
    absent, present = SourceStatus("absent"), SourceStatus("present", captured=4)
    absent.set_offline(OfflineReason.NOT_FOUND, "unplugged")
    liveness, _ = liveness_of(absent, present)
    liveness.report("listening", now=1)
    assert not liveness.ready
    present.scored_until = 4
    liveness.report("listening", now=2)
    assert liveness.ready


def test_a_start_that_hangs_asks_for_no_more_time():
    liveness, told = liveness_of(SourceStatus("mic", captured=4), patience=10)
    for now in (1, 9, 12, 13):
        liveness.report("listening", now=now)
    assert [EXTENSION in message for message in told] == [True, True, False, False]


def test_once_ready_it_never_extends_the_timeout_which_would_delay_the_watchdog():
    source = SourceStatus("mic", captured=4, scored_until=4)
    liveness, told = liveness_of(source, patience=10)
    for now in (1, 9, 12, 13):
        liveness.report("listening", now=now)
    assert not any(EXTENSION in message for message in told)
    assert ["WATCHDOG=1" in message for message in told] == [True, True, False, False]


def test_a_source_hears_while_it_delivers():
    source = SourceStatus("mic")
    liveness, _ = liveness_of(source)
    assert not liveness.online("mic")
    source.captured = 4
    assert liveness.online("mic")
    source.set_offline(OfflineReason.NOT_FOUND, "unplugged")
    assert not liveness.online("mic")


def test_a_long_load_asks_for_more_time_again_and_again():
    asked = threading.Semaphore(0)
    told = []

    def notify(*assignments):
        told.extend(assignments)
        asked.release()

    with loading("the model", notify=notify, every_seconds=0.01):
        for _ in range(5):
            assert asked.acquire(timeout=60)
    count = len(told)
    assert told[0] == "STATUS=loading the model"
    assert set(told[1:]) == {EXTENSION}
    assert not [thread for thread in threading.enumerate() if thread.name == "loading"]
    assert len(told) == count


def test_a_load_that_never_ends_is_given_up():
    given_up = threading.Event()
    told = []

    def notify(*assignments):
        told.extend(assignments)

    with loading("the model", notify=notify, every_seconds=0.01, at_most_seconds=0.05):
        for thread in threading.enumerate():
            if thread.name == "loading":
                thread.join(60)
                assert not thread.is_alive()
                given_up.set()
    assert told.count(EXTENSION) == 5


def test_a_load_that_fails_fails():
    with pytest.raises(ValueError, match="broken"), loading("the model", notify=Told()):
        raise ValueError("broken")


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    """Return a service manager's end of the notify protocol: it gives one set of assignments a message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield lambda: set(channel.recv(4096).decode().splitlines())


def until(supervisor, what):
    """Messages up to the first that contains an assignment."""
    messages = []
    while not messages or what not in messages[-1]:
        messages.append(supervisor())
        assert len(messages) < MESSAGES, messages
    return messages


def config_of(tmp_path, *sources):
    return Config(
        sources=sources,
        labels=(LabelConfig(id="dog", prompts=("a dog barking",)),),
        state=tmp_path / "state",
        recordings=tmp_path / "recordings",
    )


def running(daemon, *outputs):
    thread = threading.Thread(target=daemon.run, args=outputs)
    thread.start()
    return thread


def test_ready_comes_after_the_first_window_and_no_watchdog_while_the_analysis_hangs(tmp_path, supervisor):
    scored, hangs, go_on = threading.Event(), threading.Event(), threading.Event()

    def hang(_):
        hangs.set()
        go_on.wait(600)

    config = config_of(tmp_path, SourceConfig(name="demo", kind="file", path=DEMO))
    daemon = Daemon(build(config, around=troubled(hang)), patience_seconds=10.0)
    thread = running(daemon, Observer(on_scores=lambda _: scored.set()))
    try:
        before = until(supervisor, "READY=1")
        assert scored.is_set()
        assert before[0] == {"STATUS=loading the model"}
        assert any(EXTENSION in message for message in before)
        assert not any("WATCHDOG=1" in message for message in before[:-1])
        assert hangs.wait(300)
        messages = [supervisor()]
        while "WATCHDOG=1" in messages[-1]:
            messages.append(supervisor())
            assert len(messages) < MESSAGES
        for _ in range(3):
            starved = supervisor()
            assert any(line.startswith("STATUS=1 labels; demo ok") for line in starved)
            assert "WATCHDOG=1" not in starved
        go_on.set()
        until(supervisor, "WATCHDOG=1")
        daemon.stop()
        assert "READY=1" not in set().union(*until(supervisor, "STOPPING=1"))
    finally:
        go_on.set()
        daemon.stop()
        thread.join(60)
    assert not thread.is_alive()


@pytest.mark.sound_card
@pytest.mark.usefixtures("sound_card")
def test_a_supervisor_hears_ready_and_watchdog_while_a_microphone_is_awaited(tmp_path, supervisor):
    config = config_of(tmp_path, SourceConfig(name="mic", kind="microphone", device="not there yet"))
    daemon = Daemon(build(config))
    thread = running(daemon)
    try:
        ready = until(supervisor, "READY=1")[-1]
        assert any("mic offline: no microphone is called" in line for line in ready)
        for _ in range(3):
            assert "WATCHDOG=1" in supervisor()
        daemon.stop()
        until(supervisor, "STOPPING=1")
    finally:
        daemon.stop()
        thread.join(60)
    assert not thread.is_alive()


def test_the_health_of_a_source_names_why_it_is_offline_and_what_was_lost():
    status = SourceStatus("mic", lost=8, late=3)
    liveness = Watchdog({"mic": status}, 10, 0, notify=lambda *_: None)
    status.set_offline(OfflineReason.NOT_FOUND, "unplugged")
    assert liveness.fell_behind(1) == ["mic"]
    health = liveness.health("mic", 2, rate=4, hop=2)
    assert (health.offline_text, health.overloaded, health.dropped_seconds) == ("unplugged", True, 3.5)
    status.set_online()
    health = liveness.health("mic", 100, rate=4, hop=2)
    assert (health.offline_reason, health.overloaded) == (None, False)


def test_a_stage_that_has_not_moved_for_three_times_the_patience_hangs_and_is_named(caplog):
    offline, present = SourceStatus("offline"), SourceStatus("present", captured=100)
    offline.set_offline(OfflineReason.NOT_FOUND, "unplugged")
    liveness, _ = liveness_of(offline, present, patience=10)
    for now in range(0, 10 * HOPELESS + 1, 5):
        offline.looked += 1
        assert liveness.hung(now) is None
    assert "'analyse' hangs: no progress for 30 s" in str(liveness.hung(10 * HOPELESS + 2))
    assert "the monitor ends" in caplog.text
    present.scored_until = 100
    assert liveness.hung(40) is None
    assert "'listen offline' hangs" in str(liveness.hung(200))


def test_the_time_for_which_a_process_is_stopped_is_nobodys_fault():
    times = iter([100.0, 101.0, 103.0, 4000.0, 4001.0])
    clock = AwakeClock(5.0, lambda: next(times))
    assert [clock.now() for _ in range(4)] == [1.0, 3.0, 8.0, 9.0]


HELD = """
import ctypes, threading, time
from monitor.daemon.watchdog import DeadMan
{before}
dead_man = DeadMan(1.0)
dead_man.keep_alive()
def the_place_where_it_is():
    {held}
the_place_where_it_is()
print("never")
"""


def run_held(held, before=""):
    return subprocess.run(
        [sys.executable, "-c", HELD.format(held=held, before=before)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize(
    "held", ["time.sleep(1000)", "ctypes.PyDLL(None).sleep(1000)"], ids=["waits", "keeps the lock"]
)
def test_a_process_that_is_held_ends_and_says_where_it_was(held):
    done = run_held(held)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Timeout" in done.stderr
    assert "the_place_where_it_is" in done.stderr


def test_signs_of_life_keep_it_alive_and_who_rests_is_not_watched():
    alive = "[(time.sleep(0.1), dead_man.keep_alive()) for _ in range(30)]; dead_man.stop(); time.sleep(1.5)"
    done = run_held(alive)
    assert (done.returncode, done.stdout) == (0, "never\n")


def test_only_the_main_thread_is_watched():
    before = "made = []; t = threading.Thread(target=lambda: made.append(DeadMan(1.0))); t.start(); t.join()"
    done = run_held("time.sleep(1.5)", before + "; DeadMan = lambda _: made[0]")
    assert (done.returncode, done.stdout) == (0, "never\n")


def test_without_standard_error_nobody_is_watched(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not can_be_written(sys.stderr)
    dead_man = DeadMan(0.001)
    dead_man.keep_alive()
    dead_man.stop()
