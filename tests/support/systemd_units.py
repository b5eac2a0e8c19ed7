"""The units as they are packaged, and what systemd thinks of them; needs the Debian package systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SYSTEM = UNITS / "clap-monitor.service"
GPU = UNITS / "clap-monitor-gpu.conf"
USER = UNITS / "user" / "clap-monitor.service"


@pytest.fixture
def machine(tmp_path):
    """A file system in which the units are installed as the README says."""
    root = tmp_path / "machine"
    units = root / "etc/systemd/system"
    shutil.copytree("/lib/systemd/system", root / "lib/systemd/system", symlinks=True)
    units.mkdir(parents=True)
    shutil.copy(SYSTEM, units)
    program = root / "opt/clap-monitor/bin/clap-monitor"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return root


def analyse(*arguments, **options):
    """Return the exit code of systemd-analyze and all that it said."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, **options
    )
    return done.returncode, done.stdout + done.stderr


def exposure(root):
    """How exposed systemd finds the unit that is installed below a directory, of 10."""
    code, said = analyse(
        "security", "--offline=true", "--threshold=20", "--no-pager", f"--root={root}", SYSTEM.name
    )
    assert code == 0
    return float(re.search(rf"Overall exposure level for {SYSTEM.name}: ([\d.]+)", said)[1])


def values(text, key):
    """Return what a unit assigns to a key, in order."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]
