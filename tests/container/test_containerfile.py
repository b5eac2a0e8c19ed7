"""Containerfile: everything that it names exists, and its command runs as it would in a container."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib

import pytest
import soundfile
import typer.main

from monitor.cli import app
from monitor.cli.first_start import write_first
from monitor.config import load
from monitor.types import ExitCode, OutputError
from tests.support.broker import eventually
from tests.support.command_line import ROOT, clap_monitor, start
from tests.support.container_files import DIRECTORY, copied, environment, instructions
from tests.support.small_disk import remount, small_disk
from tests.support.unprivileged import NOBODY, as_nobody

FOUND = instructions(DIRECTORY / "Containerfile")
DEMO = ROOT / "recordings/demo.flac"


def words(name):
    return next(each.words for each in reversed(FOUND) if each.name == name)


HEALTH = words("HEALTHCHECK")
HEALTH = HEALTH[HEALTH.index("CMD") + 1 :]
HEALTH = [word.strip('[",]') for word in HEALTH]
RUN = [*words("ENTRYPOINT"), *words("CMD")]


@pytest.fixture
def volumes(tmp_path):
    """Return the environment of a container whose volumes are in a directory of the test."""
    for name in words("VOLUME"):
        (tmp_path / name.strip("/")).mkdir()
    found = {name: value for name, value in environment(FOUND).items() if name != "PATH"}
    return {
        name: str(tmp_path) + value if value.startswith(("/config", "/data")) else value
        for name, value in found.items()
    }


def parsed(line):
    program, name, *arguments = line
    assert program == "clap-monitor"
    return typer.main.get_command(app).commands[name].make_context(name, arguments)


def test_its_commands_are_understood():
    assert parsed(RUN).params["init"]
    assert parsed(HEALTH).command.name == "status"


def test_a_package_can_be_built_from_the_files_that_it_copies(tmp_path):
    for path in copied(FOUND):
        target = tmp_path / path.relative_to(ROOT)
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "out"],
        cwd=tmp_path,
        check=True,
    )
    assert len(list((tmp_path / "out").glob("*.whl"))) == 1


def test_nothing_but_what_it_copies_is_sent_to_the_build():
    lines = [line for line in (ROOT / ".containerignore").read_text().splitlines() if line[:1] == "!"]
    assert {ROOT / line[1:] for line in lines} == set(copied(FOUND))
    assert (ROOT / ".dockerignore").resolve() == ROOT / ".containerignore"


def test_its_variants_are_installed_from_lists_of_versions_that_exist():
    (install,) = (each.text for each in FOUND if each.name == "RUN" and "pip install" in each.text)
    lists = set(re.findall(r"constraints[\w-]*\.txt", install))
    assert lists == {"constraints.txt", "constraints-lean.txt"}
    assert {ROOT / name for name in lists} <= set(copied(FOUND))


def test_its_extras_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    chosen = next(
        each.text.partition("=")[2] for each in FOUND if each.name == "ARG" and each.text.startswith("EXTRAS")
    )
    assert set(chosen.split(",")) <= set(extras)


def test_it_runs_as_a_numbered_user_who_is_not_root():
    assert words("USER") == ["1000:0"]


def test_the_first_start_writes_a_configuration_and_becomes_healthy_and_a_signal_ends_it(volumes, tmp_path):
    data = tmp_path / "data"
    arguments = [*RUN[1:], "--source", DEMO, "--web", "127.0.0.1:0"]
    with start(*arguments, cwd=data, env=volumes) as monitor:
        eventually(lambda: clap_monitor(*HEALTH[1:], cwd=data, env=volumes).returncode == 0)
        monitor.send_signal(signal.SIGTERM)
        _, log = monitor.communicate(timeout=120)
    assert monitor.returncode == 0
    config, token = tmp_path / "config/monitor.yaml", tmp_path / "config/web_token"
    assert f"{config}: written; the page asks for the token in {token}" in log
    assert token.stat().st_mode & 0o777 == 0o600
    web = load(config).web
    assert (web.enabled, web.host, web.token_file) == (True, "0.0.0.0", token)
    assert {path.name for path in data.iterdir()} >= {"state"}


@pytest.mark.root
def test_a_first_start_without_a_writable_config_says_what_to_do(volumes, tmp_path):
    config = tmp_path / "config/monitor.yaml"
    with small_disk(config.parent):
        remount(config.parent, "ro")
        done = clap_monitor(*RUN[1:], cwd=tmp_path / "data", env=volumes)
        assert not list(config.parent.iterdir())
    assert done.returncode == ExitCode.OUTPUT
    assert done.stderr.strip() == (
        f"clap-monitor: {config}: cannot be written: Read-only file system; make its directory writable for "
        f"user {os.geteuid()}, or put a configuration there (`clap-monitor init -` prints one)"
    )
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.root
def test_a_directory_of_somebody_else_is_one_line(tmp_path):
    config = tmp_path / "monitor.yaml"
    tmp_path.chmod(0o700)
    with (
        as_nobody(),
        pytest.raises(OutputError, match=f"cannot be written: Permission denied; .* user {NOBODY}"),
    ):
        write_first(config)
    assert not list(tmp_path.iterdir())


@pytest.mark.root
def test_a_configuration_in_a_read_only_directory_is_enough(volumes, tmp_path):
    short = tmp_path / "short.wav"
    samples, rate = soundfile.read(DEMO, frames=3 * 48_000)
    soundfile.write(short, samples, rate)
    with small_disk(tmp_path / "config") as place:
        (place / "monitor.yaml").write_text("node: attic\n")
        remount(place, "ro")
        done = clap_monitor(*RUN[1:], "--source", short, "--fast", cwd=tmp_path / "data", env=volumes)
    assert done.returncode == 0, done.stderr
