"""Wheel and source distribution: built offline, installed without extras, and run from another directory."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.command_line import ENVIRONMENT, ROOT

PACKAGE = ROOT / "monitor"


def build(directory, out, *targets):
    """Build with the backend of this environment: no network is asked."""
    targets = [option for target in targets for option in ("-t", target)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", out, *targets], cwd=directory, check=True
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "sdist", "wheel")
    return out


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


def contents(wheel):
    with zipfile.ZipFile(wheel) as files:
        return {name: files.read(name) for name in files.namelist()}


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = set(contents(wheel))
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"monitor"}
    code = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == code
    assert {"monitor/py.typed", "monitor/units/clap-monitor.service"} <= names


def test_a_wheel_from_the_source_distribution_is_the_same(built, wheel, tmp_path):
    (archive,) = built.glob("*.tar.gz")
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path], check=True)
    (source,) = tmp_path.iterdir()
    build(source, tmp_path / "dist", "wheel")
    assert contents(tmp_path / "dist" / wheel.name) == contents(wheel)


def test_the_installed_wheel_detects_the_demo_from_another_directory(wheel, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin/python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True)
    # The packages it depends on are those of this environment, but not this checkout.
    (packages,) = environment.glob("lib/python3*/site-packages")
    shared = [path for path in sys.path if "site-packages" in path]
    (packages / "shared.pth").write_text("".join(f"{path}\n" for path in shared))
    variables = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run(python, "-c", "import monitor; print(monitor.__file__)")
    assert Path(where.strip()).is_relative_to(packages)
    recording = ROOT / "recordings/demo.flac"
    events = run(
        environment / "bin/clap-monitor", "run", "--source", recording, "--fast", "--json",
        "--label", "a rooster crowing",
    )  # fmt: skip
    assert {json.loads(line)["event_type"] for line in events.splitlines()} == {"a_rooster_crowing"}


def test_the_test_of_a_lean_installation_names_tests_that_exist():
    named = re.findall(r"(?<![\w/])tests/\w[\w/.]*", (ROOT / ".ci" / "lean-test").read_text())
    assert len(named) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []
