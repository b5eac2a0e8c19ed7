import os
import signal
import sys
import time
from pathlib import Path

import pytest

from monitor.system.child_process import MOST_LEFT, TAIL_BYTES, environment, run_child
from tests.support.broker import PATIENCE, eventually
from tests.support.open_files import left_open, open_files


def run(script, text="", seconds=PATIENCE, env=None):
    give_up_at = time.monotonic() + seconds
    return run_child(
        [sys.executable, "-c", script], text, environment=env or environment(), give_up_at=lambda: give_up_at
    )


def lives(pid):
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_finds_the_text_on_its_standard_input_and_is_heard_on_both_outputs():
    script = "import sys; print(sys.stdin.read().upper(), flush=True); print('oh', file=sys.stderr)"
    ended = run(script, "grüß")
    assert (ended.code, ended.tail.decode()) == (0, "GRÜSS\noh\n")


def test_a_child_that_reads_nothing_delays_nobody():
    assert run("pass", "x" * 1_000_000).code == 0


@pytest.mark.parametrize(("how", "code"), [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", -signal.SIGKILL)])
def test_how_it_ended_is_known(how, code):
    assert run(f"import os, sys; {how}").code == code


def test_of_much_that_it_says_the_end_is_kept():
    ended = run("import sys; sys.stdout.write('x' * 10_000_000); print('last')")
    assert ended.code == 0
    assert len(ended.tail) == TAIL_BYTES
    assert ended.tail.endswith(b"xlast\n")


def test_when_its_time_is_over_it_is_killed_with_everything_it_started(tmp_path):
    script = f"""
import pathlib, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
print("stuck", flush=True)
time.sleep(1000)
"""
    ended = run(script, seconds=15.0)
    assert ended.code is None
    assert ended.tail.startswith(b"stuck\n")  # a shell may add that its child was killed
    grandchild = int((tmp_path / "pid").read_text())
    eventually(lambda: not lives(grandchild))


def test_one_that_never_stops_talking_is_killed_as_well():
    assert run("while True: print('x' * 10_000)", seconds=1.0).code is None


def test_one_that_closes_its_outputs_and_hangs_is_killed_as_well():
    assert run("import os, time; os.close(1); os.close(2); time.sleep(1000)", seconds=1.0).code is None


def test_its_time_may_end_while_it_runs():
    over = []

    def give_up_at():
        over.append(True)
        return time.monotonic() + PATIENCE if len(over) < 5 else 0.0

    ended = run_child(["sleep", "1000"], "", environment=environment(), give_up_at=give_up_at)
    assert ended.code is None


def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path):
    script = f"""
import subprocess
left = subprocess.Popen(["sleep", "1000"])
open({str(tmp_path / "pid")!r}, "w").write(str(left.pid))
print("started")
"""
    ended = run(script)
    left = int((tmp_path / "pid").read_text())
    try:
        assert (ended.code, ended.tail) == (0, b"started\n")
        assert lives(left)
    finally:
        os.kill(left, signal.SIGKILL)


DAEMON = """
import os, sys, time
if os.fork():
    sys.exit()
os.setsid()
if os.fork():
    os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
for descriptor in range(3):
    os.close(descriptor)
time.sleep(1000)
"""

ESCAPES = {
    "a session of its own": 'setsid sh -c "echo \\$\\$ > $0; sleep 1000"',
    "a session of its own, in the background": 'setsid -f sh -c "echo \\$\\$ > $0; sleep 1000"',
    "no hangup": 'nohup sh -c "echo \\$\\$ > $0; sleep 1000" >/dev/null 2>&1 &',
    "no environment": 'env -i setsid -f /bin/sh -c "echo \\$\\$ > $0; /bin/sleep 1000"',
    "no terminal and no outputs": 'setsid -f sh -c "echo \\$\\$ > $0; exec <&- >&- 2>&-; sleep 1000"',
    "signals ignored": "setsid -f sh -c \"trap '' TERM HUP; echo \\$\\$ > $0; while :; do sleep 1; done\"",
    "stopped": 'setsid -f sh -c "echo \\$\\$ > $0; kill -STOP \\$\\$; sleep 1000"',
    "a daemon": f"{sys.executable} -c '{DAEMON}' $0",
}


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_nothing_that_it_started_outlives_its_time_wherever_it_has_gone(tmp_path, escape):
    pid = tmp_path / "pid"
    give_up_at = time.monotonic() + PATIENCE
    ended = run_child(
        ["sh", "-c", f"{escape}\nsleep 1000", str(pid)], "", environment=environment(),
        give_up_at=lambda: 0.0 if pid.exists() and pid.read_text().strip() else give_up_at,
    )  # fmt: skip
    assert ended.code is None
    assert not lives(int(pid.read_text()))


@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_what_a_command_left_behind_ends_when_the_time_of_the_command_is_over(tmp_path, escape):
    pid = tmp_path / "pid"
    give_up_at = time.monotonic() + 5.0
    run_child(["sh", "-c", escape, str(pid)], "", environment=environment(), give_up_at=lambda: give_up_at)
    eventually(lambda: not pid.exists() or ((text := pid.read_text()) and not lives(int(text))))


def test_of_too_many_left_over_child_processes_the_oldest_is_ended(tmp_path):
    pids = []
    for number in range(MOST_LEFT + 2):
        pid = tmp_path / str(number)
        assert run_child(
            ["sh", "-c", "sleep 1000 & echo $! > $0", str(pid)], "", environment=environment(),
            give_up_at=lambda: time.monotonic() + PATIENCE,
        ).code == 0  # fmt: skip
        pids.append(int(pid.read_text()))
    eventually(lambda: not lives(pids[0]) and not lives(pids[1]))
    assert all(map(lives, pids[2:]))
    for pid in pids[2:]:
        os.kill(pid, signal.SIGKILL)


def test_one_that_kills_its_supervisor_is_known_to_have_failed():
    assert run("import os, time; os.kill(os.getppid(), 9); time.sleep(1)").code == -signal.SIGKILL


def test_no_process_and_no_descriptor_is_left_of_many_runs():
    def children():
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    run("pass")
    before, known = open_files(), children()
    for _ in range(5):
        run("print('x')")
        run("import time; time.sleep(1000)", seconds=0.5)
    assert not left_open(before)
    assert children() <= known


def test_no_secret_of_our_environment_reaches_it(monkeypatch):
    monkeypatch.setenv("MQTT_PASSWORD", "hunter2")
    monkeypatch.setenv("LC_TIME", "de_DE.UTF-8")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    ended = run("import os; print(sorted(os.environ))")
    assert b"'PATH'" in ended.tail
    assert b"'LC_TIME'" in ended.tail
    assert b"MQTT_PASSWORD" not in ended.tail
    assert b"NOTIFY_SOCKET" not in ended.tail
    assert environment(also=["MQTT_PASSWORD"])["MQTT_PASSWORD"] == "hunter2"


def test_what_cannot_be_started_is_an_error_of_the_caller(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        run_child([str(tmp_path / "none")], "", environment={}, give_up_at=lambda: 0.0)
