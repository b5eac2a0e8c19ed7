"""A server for a module of tests."""

import pytest

from tests.support.web_server import serving


@pytest.fixture(scope="module")
def served():
    with serving() as it:
        yield it
