"""Fixtures of the tests of outputs."""

import pytest

from monitor.outputs.mqtt import discovery_sync, late_events
from tests.support.broker import Broker


@pytest.fixture
def no_home_assistant_is_waited_for(monkeypatch):
    """Late events wait 15 s for Home Assistant, which is not what is tested."""
    monkeypatch.setattr(late_events, "HOLD_SECONDS", 0.2)


@pytest.fixture
def discovery_settles_soon(monkeypatch):
    """Old entities wait 5 s until Home Assistant has the new description."""
    monkeypatch.setattr(discovery_sync, "SETTLE_SECONDS", 0.5)


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as broker:
        yield broker


@pytest.fixture
def queue_file(tmp_path):
    return tmp_path / "state" / "outbox.sqlite"
