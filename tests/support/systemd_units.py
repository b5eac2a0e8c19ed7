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


def system_calls(unit):
    """Return the names of the system calls that the filters of a unit leave."""
    allowed = _calls("@default")
    for line in values(unit.read_text(), "SystemCallFilter"):
        named = {name for word in line.removeprefix("~").split() for name in _calls(word)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    for key, names in {"ProtectClock": "@clock", "ProtectKernelModules": "@module"}.items():
        if values(unit.read_text(), key) == ["yes"]:
            allowed -= _calls(names)
    return allowed


def _calls(word):
    """Return the system calls of a set, or one that is named."""
    if not word.startswith("@"):
        return {word}
    _, text = analyse("syscall-filter", "--no-pager", word)
    words = [line.strip() for line in text.splitlines()[1:]]
    return {call for each in words if each and not each.startswith("#") for call in _calls(each)}


FILTERED = """
import ctypes, os, sys
calls, command = sys.argv[1].split(","), sys.argv[2:]
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
refuse, allow = 0x00050001, 0x7FFF0000  # with EPERM
filters = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(refuse)))
for number in {seccomp.seccomp_syscall_resolve_name(name.encode()) for name in calls}:
    if number >= 0:
        assert seccomp.seccomp_rule_add(filters, ctypes.c_uint32(allow), number, 0) == 0
assert seccomp.seccomp_load(filters) == 0
os.execv(command[0], command)
"""
"""Program that runs a command with these system calls only, in the kernel's own filter."""


def values(text, key):
    """Return what a unit assigns to a key, in order."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]
