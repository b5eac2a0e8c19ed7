"""Fixtures for every folder of tests."""

import signal
import subprocess

import pytest
from hypothesis import HealthCheck, settings

from tests.support.sound_card import sound_card
from tests.support.systemd_units import machine
from tests.support.unprivileged import public

__all__ = ["full_disk", "machine", "public", "sound_card"]

# Random tests are the same at every run, and a slow machine is no fault.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

# A shell starts what runs in the background with Ctrl-C ignored; processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def full_disk(tmp_path):
    """Return a directory on a file system of a few kilobytes, mounted for the test."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], check=True)
    (place / "filler").write_bytes(bytes(16384))
    yield place
    subprocess.run(["umount", place], check=True)
