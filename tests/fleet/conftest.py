"""A broker for the tests of fleets."""

import pytest

from tests.support.broker import Broker


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Broker(folder) as started:
        yield started
