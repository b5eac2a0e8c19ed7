"""Fixtures of the tests of outputs."""

import pytest

from monitor.outputs import holding


@pytest.fixture
def no_home_assistant_is_waited_for(monkeypatch):
    """Late events wait 15 s for Home Assistant, which is not what is tested."""
    monkeypatch.setattr(holding, "HOLD_SECONDS", 0.2)
