"""install-service: the unit for this machine, every step said, nothing of the user's lost."""

import os
import sys
from pathlib import Path

import pytest

from monitor.cli.service_unit import Place, _quoted, install, place, unit_text
from monitor.config import example
from monitor.types import ConfigError, OutputError
from tests.support.command_line import clap_monitor
from tests.support.systemd_units import GPU, SYSTEM, USER, analyse, exposure
from tests.support.unprivileged import as_nobody


def here(tmp_path, **options):
    """Return a place below the test's directory, as if that were the machine."""
    whole = {
        "program": ("/opt/clap-monitor/bin/clap-monitor",),
        "config": tmp_path / "etc/clap-monitor/monitor.yaml",
        "units": tmp_path / "etc/systemd/system",
        "user": True,
    } | options
    return Place(**whole)


def installed(where, **options):
    """Install; return what was said and what was run."""
    said, ran = [], []
    install(where, report=said.append, run=ran.append, **options)
    return said, ran


@pytest.mark.parametrize(("user", "packaged"), [(False, SYSTEM), (True, USER)])
def test_the_unit_is_the_packaged_one_but_for_who_is_started(tmp_path, user, packaged):
    text = unit_text(here(tmp_path, user=user))
    body = text[text.index("\n\n") :]
    expected = packaged.read_text()
    changed = [
        (ours, theirs)
        for ours, theirs in zip(
            body.splitlines(), expected[expected.index("\n\n") :].splitlines(), strict=True
        )
        if ours != theirs
    ]
    config = tmp_path / "etc/clap-monitor/monitor.yaml"
    commands = (("ExecStart=", "run"), ("ExecReload=", "reload"))
    for (ours, theirs), (key, word) in zip(changed, commands, strict=True):
        assert ours == f"{key}/opt/clap-monitor/bin/clap-monitor {word} --config {config}"
        assert theirs.startswith(key)


def test_the_service_of_the_system_is_the_packaged_one_where_the_readme_installs_it(tmp_path):
    usual = here(tmp_path, user=False, config=Path("/etc/clap-monitor/monitor.yaml"))
    assert values_of(unit_text(usual)) == values_of(SYSTEM.read_text())


def values_of(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_place_follows_the_installation_and_the_user(tmp_path):
    system = place(user=False, environment={"HOME": str(tmp_path)})
    assert system.config == Path("/etc/clap-monitor/monitor.yaml")
    assert system.unit == Path("/etc/systemd/system/clap-monitor.service")
    assert Path(sys.prefix) in system.seen
    user = place(user=True, environment={"HOME": str(tmp_path)})
    assert user.config == tmp_path / ".config/clap-monitor/monitor.yaml"
    assert user.unit == tmp_path / ".config/systemd/user/clap-monitor.service"
    moved = place(user=True, environment={"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path)})
    assert moved.unit == tmp_path / "systemd/user/clap-monitor.service"
    assert system.program[0].startswith("/")


def test_every_step_is_said_and_only_what_is_said_is_run(tmp_path):
    where = here(tmp_path)
    said, ran = installed(where)
    assert said[:3] == [
        f"writing: {where.config}",
        f"writing: {where.unit}",
        "running: systemctl --user daemon-reload",
    ]
    assert ran == [["systemctl", "--user", "daemon-reload"]]
    assert any(line.endswith("systemctl --user enable --now clap-monitor") for line in said)
    assert where.config.read_text() == example()
    assert where.unit.read_text() == unit_text(where)
    assert where.unit.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in where.units.iterdir()) == ["clap-monitor.service"]


def test_a_second_time_nothing_is_written(tmp_path):
    where = here(tmp_path)
    installed(where)
    before = where.unit.stat().st_mtime_ns
    said, ran = installed(where)
    assert said[:2] == [f"{where.config}: valid, kept", f"{where.unit}: up to date"]
    assert ran == [["systemctl", "--user", "daemon-reload"]]  # the first may have failed
    assert where.unit.stat().st_mtime_ns == before


def test_an_older_unit_is_replaced_and_drop_ins_and_the_configuration_are_kept(tmp_path):
    where = here(tmp_path)
    drop_in = where.units / "clap-monitor.service.d/own.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nNice=5\n")
    where.unit.write_text("[Service]\nExecStart=/old\n")
    where.config.parent.mkdir(parents=True)
    where.config.write_text("node: mine\n")
    said, ran = installed(where)
    assert f"{drop_in}: applies too" in said
    assert drop_in.read_text() == "[Service]\nNice=5\n"
    assert where.config.read_text() == "node: mine\n"
    assert where.unit.read_text() == unit_text(where)
    assert len(ran) == 1


def test_without_systemd_it_is_said_what_to_run(tmp_path):
    said = []
    install(here(tmp_path), report=said.append, run=None)
    assert "systemd is not running here; run this where it is:  systemctl --user daemon-reload" in said


def test_a_bad_configuration_is_told_before_anything_is_written(tmp_path):
    where = here(tmp_path)
    where.config.parent.mkdir(parents=True)
    where.config.write_text("windwo: {}\n")
    with pytest.raises(ConfigError, match=r"monitor\.yaml:1: windwo"):
        installed(where)
    assert not where.units.exists()


@pytest.mark.parametrize("hidden", ["/home/me/venv", "/root/venv", "/run/user/0/venv"])
@pytest.mark.parametrize("what", ["program", "config", "seen"])
def test_what_the_service_of_the_system_cannot_see_is_refused(hidden, what):
    path = Path(hidden)
    options = {"program": (hidden,), "config": path, "seen": (path,)}
    usual = {"program": ("/opt/clap-monitor",), "config": Path("/etc/monitor.yaml")}
    where = Place(units=Path("/nowhere"), user=False, **usual | {what: options[what]})
    with pytest.raises(OutputError, match=f"{hidden}: hidden from a system service, like all of /") as raised:
        installed(where)
    assert raised.value.exit_code == 73


def test_a_configuration_that_the_service_s_own_user_cannot_read_is_refused(public):
    where = here(public, user=False)
    installed(where)
    where.config.chmod(0o600)
    with pytest.raises(OutputError, match=r"not readable .*: chmod o\+r "):
        installed(where)


def test_the_drop_in_for_the_gpu_is_written_once_and_then_belongs_to_the_user(public):
    where = here(public, user=False)
    said, _ = installed(where, gpu=True)
    drop_in = where.units / "clap-monitor.service.d/gpu.conf"
    assert drop_in.read_text() == GPU.read_text()
    assert f"{drop_in}: applies too" in said
    drop_in.write_text("[Service]\nPrivateUsers=no\n")
    said, _ = installed(where, gpu=True)
    assert f"{drop_in}: exists and differs, kept" in said
    assert drop_in.read_text() == "[Service]\nPrivateUsers=no\n"


def test_the_user_is_told_that_the_card_needs_no_drop_in(tmp_path):
    said, _ = installed(here(tmp_path), gpu=True)
    assert any("needs no drop-in" in line for line in said)


def test_a_path_that_cannot_be_written_is_said_with_the_reason(tmp_path):
    (tmp_path / "etc").write_text("not a directory")
    with pytest.raises(OutputError, match=r"cannot be read: Not a directory") as raised:
        installed(here(tmp_path))
    assert raised.value.exit_code == 73


@pytest.mark.parametrize(
    ("word", "in_unit"),
    [
        ("/opt/clap", "/opt/clap"),
        ("/opt/my clap", '"/opt/my clap"'),
        ("/opt/100%", '"/opt/100%%"'),
        ("/opt/$HOME", '"/opt/$$HOME"'),
        ('/opt/"x"', '"/opt/\\"x\\""'),
    ],
)
def test_words_reach_the_program_as_they_are(word, in_unit):
    assert _quoted(word) == in_unit


def test_a_path_that_would_begin_another_line_of_the_unit_is_refused(tmp_path):
    config = tmp_path / "a\nExecStartPre=evil"
    with pytest.raises(ConfigError, match="control characters"):
        unit_text(here(tmp_path, config=config))


def test_what_is_written_for_the_system_is_clean_and_exposes_little(tmp_path, machine):
    where = here(tmp_path, user=False, config=Path("/etc/clap-monitor/my sounds.yaml"))
    (machine / "etc/systemd/system" / where.unit.name).write_text(unit_text(where))
    assert analyse("verify", "--man=no", f"--root={machine}", "clap-monitor.service") == (0, "")
    assert exposure(machine) <= 2.0


def test_what_is_written_for_a_user_is_clean(tmp_path):
    program = tmp_path / "my programs/clap-monitor"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    where = here(tmp_path, program=(str(program),))
    installed(where)
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert analyse("verify", "--man=no", "--user", where.unit, env=environment) == (0, "")


def test_a_dry_run_prints_the_unit_and_writes_nothing(tmp_path):
    environment = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""}
    done = clap_monitor("install-service", "--user", "--dry-run", cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert f" run --config {tmp_path}/.config/clap-monitor/monitor.yaml" in done.stdout
    assert values_of(done.stdout)[0] == "[Unit]"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("user", "way"), [(False, "run it with sudo, or use --user"), (True, "use --user without sudo")]
)
def test_without_permission_it_says_what_would_help(public, user, way):
    where = here(public, user=user)
    with as_nobody(), pytest.raises(OutputError) as raised:
        installed(where)
    assert str(raised.value) == f"{where.config}: permission denied: {way}"
    assert raised.value.exit_code == 73
    assert list(public.iterdir()) == []
