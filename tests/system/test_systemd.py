import os
import shutil
import socket
import subprocess
import sys
import tomllib

import pytest

from monitor.system import systemd
from monitor.system.clock_sync import read_clock_sync
from tests.support.command_line import COMMAND, ENVIRONMENT, ROOT, events_of
from tests.support.systemd_units import (
    FILTERED,
    GPU,
    SYSTEM,
    UNITS,
    USER,
    analyse,
    exposure,
    system_calls,
    values,
)

MOST_EXPOSED = 2.0
"""What `systemd-analyze security` may say at most, of 10."""


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A service manager: its socket, and the address as NOTIFY_SOCKET has it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@clap-monitor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address.replace("@", "\0", 1))
        channel.settimeout(60)
        yield channel, {"NOTIFY_SOCKET": address}


def test_assignments_arrive_in_one_message(manager):
    channel, environment = manager
    assert systemd.notify("READY=1", "STATUS=3 labels, mic0 ok", environment=environment)
    assert channel.recv(1000) == b"READY=1\nSTATUS=3 labels, mic0 ok"


def test_a_status_of_several_lines_cannot_smuggle_in_an_assignment(manager):
    channel, environment = manager
    systemd.notify("STATUS=no microphone\nMAINPID=1", "WATCHDOG=1", environment=environment)
    assert channel.recv(1000) == b"STATUS=no microphone MAINPID=1\nWATCHDOG=1"


def test_letters_of_every_language_arrive(manager):
    channel, environment = manager
    systemd.notify("STATUS=höre Küche", environment=environment)
    assert channel.recv(1000).decode() == "STATUS=höre Küche"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_nothing_is_sent_without_a_socket_that_can_be_used(environment):
    assert not systemd.notify("READY=1", environment=environment)


def test_a_service_manager_that_is_gone_is_no_failure(tmp_path):
    assert not systemd.notify("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "gone")})


def test_the_environment_of_the_process_is_the_default(manager, monkeypatch):
    channel, environment = manager
    monkeypatch.setenv("NOTIFY_SOCKET", environment["NOTIFY_SOCKET"])
    assert systemd.notify("STOPPING=1")
    assert channel.recv(1000) == b"STOPPING=1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_only_if_systemd_asks_this_process(environment, seconds):
    assert systemd.watchdog_seconds(environment) == seconds


def install_gpu(machine):
    folder = machine / "etc/systemd/system/clap-monitor.service.d"
    folder.mkdir()
    shutil.copy(GPU, folder / "gpu.conf")


@pytest.mark.parametrize("gpu", [False, True])
def test_systemd_finds_no_fault_in_the_unit(machine, gpu):
    if gpu:
        install_gpu(machine)
    assert analyse("verify", "--man=no", f"--root={machine}", "clap-monitor.service") == (0, "")


@pytest.mark.parametrize("gpu", [False, True])
def test_the_unit_exposes_little(machine, gpu):
    if gpu:
        install_gpu(machine)
    assert exposure(machine) <= MOST_EXPOSED


def test_systemd_finds_no_fault_in_the_unit_of_a_user(tmp_path):
    unit = tmp_path / USER.name
    program = tmp_path / "clap-monitor"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = USER.read_text()
    assert "ExecStart=%h/.local/bin/clap-monitor run" in text
    unit.write_text(text.replace("%h/.local/bin/clap-monitor", str(program)))
    assert analyse(
        "verify", "--man=no", "--user", unit, env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    ) == (0, "")


@pytest.mark.parametrize("unit", [SYSTEM, USER])
def test_a_fault_in_the_configuration_does_not_make_a_loop_of_restarts(unit):
    assert values(unit.read_text(), "Restart") == ["on-failure"]
    assert values(unit.read_text(), "RestartPreventExitStatus") == ["78"]
    assert values(unit.read_text(), "Type") == ["notify"]


@pytest.mark.parametrize("unit", [SYSTEM, USER])
def test_the_daemon_has_more_time_to_stop_than_it_takes(unit):
    assert int(values(unit.read_text(), "TimeoutStopSec")[0]) > 8


def test_the_unit_leaves_what_torch_and_alsa_need():
    assert values(SYSTEM.read_text(), "MemoryDenyWriteExecute") == []  # oneDNN writes the code that it runs
    assert values(SYSTEM.read_text(), "PrivateDevices") == ["no"]
    assert values(SYSTEM.read_text(), "DeviceAllow") == ["char-alsa rw"]
    assert values(SYSTEM.read_text(), "SupplementaryGroups") == ["audio"]
    assert values(SYSTEM.read_text(), "ProcSubset") == ["all"]  # /proc/cpuinfo, /proc/asound


def test_the_monitor_runs_with_the_system_calls_of_the_unit_and_may_ask_how_well_the_clock_is_set(tmp_path):
    allowed = system_calls(SYSTEM) - {"setpriority"}  # which a sandbox may refuse
    calls = ",".join(sorted(allowed))
    recording = ["--source", ROOT / "recordings/demo.flac", "--label", "a helicopter", "--fast", "--json"]
    command = [*COMMAND, "run", *recording]
    done = subprocess.run(
        [sys.executable, "-c", FILTERED, calls, *map(str, command)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    events = events_of(done)
    assert events, done.stderr
    assert {event["clock_synchronised"] for event in events} == {read_clock_sync().synchronised}
    assert "clock_settime" not in calls
    assert values(SYSTEM.read_text(), "CapabilityBoundingSet") == [""]  # and so adjtimex sets nothing


def test_relative_paths_of_the_configuration_lead_to_the_state_directory():
    """DynamicUser may write nowhere else, and finds it below /var/lib whatever its number is."""
    (name,) = values(SYSTEM.read_text(), "StateDirectory")
    assert values(SYSTEM.read_text(), "WorkingDirectory") == [f"/var/lib/{name}"]
    assert values(USER.read_text(), "WorkingDirectory") == [f"%S/{name}"]
    assert values(SYSTEM.read_text(), "DynamicUser") == ["yes"]


def test_the_drop_in_for_the_gpu_knows_the_card_by_its_old_and_its_new_name():
    assert {"char-nvidia-frontend rw", "char-nvidia rw"} < set(values(GPU.read_text(), "DeviceAllow"))


def test_a_wheel_brings_the_units_of_the_repository_which_has_no_copy_of_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"][UNITS.name] == "monitor/units"
    assert not (ROOT / "monitor/units").exists()
