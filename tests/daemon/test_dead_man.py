"""A process that does not move any more ends, whatever holds it."""

import subprocess
import sys

import pytest

from monitor.daemon.dead_man import DeadMan, can_be_written

HELD = """
import ctypes, threading, time
from monitor.daemon.dead_man import DeadMan
{before}
dead_man = DeadMan(1.0)
dead_man.is_well()
def the_place_where_it_is():
    {held}
the_place_where_it_is()
print("never")
"""


def run(held, before=""):
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
    done = run(held)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Timeout" in done.stderr
    assert "the_place_where_it_is" in done.stderr


def test_signs_of_life_keep_it_alive_and_who_rests_is_not_watched():
    alive = "[(time.sleep(0.1), dead_man.is_well()) for _ in range(30)]; dead_man.rest(); time.sleep(1.5)"
    done = run(alive)
    assert (done.returncode, done.stdout) == (0, "never\n")


def test_only_the_main_thread_is_watched():
    before = "made = []; t = threading.Thread(target=lambda: made.append(DeadMan(1.0))); t.start(); t.join()"
    done = run("time.sleep(1.5)", before + "; DeadMan = lambda _: made[0]")
    assert (done.returncode, done.stdout) == (0, "never\n")


def test_without_standard_error_nobody_is_watched(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert not can_be_written(sys.stderr)
    dead_man = DeadMan(0.001)
    dead_man.is_well()
    dead_man.rest()
