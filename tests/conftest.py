"""Fixtures for every folder of tests."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.support.loggers import let_threads_create_loggers
from tests.support.small_disk import fill, small_disk
from tests.support.sound_card import sound_card
from tests.support.systemd_units import machine
from tests.support.unprivileged import public

__all__ = ["full_disk", "machine", "public", "sound_card"]

# Random tests are the same at every run, and a slow machine is no fault.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

let_threads_create_loggers()

# A shell starts what runs in the background with Ctrl-C ignored; processes of the tests would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


NEED_ROOT = {"full_disk", "public"}
"""Fixtures that mount file systems or write where only root may."""


def pytest_report_header():
    if os.geteuid() == 0:
        return None
    return "not root: tests marked `root` (they mount or become another user) are left out; sudo make test"


def pytest_collection_modifyitems(config, items):
    for item in items:
        if NEED_ROOT & set(item.fixturenames):
            item.add_marker("root")
    if os.geteuid() != 0:
        left_out = [item for item in items if item.get_closest_marker("root")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def full_disk(tmp_path):
    """Return a directory on a file system of a few kilobytes, mounted for the test."""
    with small_disk(tmp_path / "small", "16k") as place:
        fill(place)
        yield place
