"""User without rights: what it may do, and a place that everybody sees."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def public():
    """Return a directory that everybody may look into, unlike the test's own, and only root may change."""
    directory = Path("/var/lib") / f"clap-monitor-test-{os.getpid()}"
    directory.mkdir(0o755)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def as_nobody():
    """Do without the rights of root for a while."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
