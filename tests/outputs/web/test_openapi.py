"""Whatever is asked of the API, within its description or beside it, it is answered and never breaks."""

import time

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from tests.support.broker import eventually
from tests.support.events import ended, event
from tests.support.web_server import LABELS, TOKEN, serving

LONG = {"/api/live"}
"""Answers that do not end of themselves."""

SHOWN = {"authorization": f"Bearer {TOKEN}"}
BOUNDED = settings(
    max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(directory=tmp_path_factory.mktemp("api")) as it:
        it.web.access._writes._burst = 1_000_000  # what is tried here is not how often
        for number in range(30):
            it.store.on_event(ended(event(number=number, at=time.time())), LABELS[0])
        eventually(lambda: it.ask("GET", "/api/events").status == 200)
        yield it


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["within", "beside"])
def test_no_request_breaks_it(served, mode):
    schema = schemathesis.openapi.from_url(f"{served.web.url}openapi.json")
    tried = 0
    for operation in (found.ok() for found in schema.get_all_operations()):
        if operation.path in LONG:
            continue

        @BOUNDED
        @given(operation.as_strategy(generation_mode=mode))
        def check(case):
            answer = case.call(base_url=served.web.url.rstrip("/"), headers=SHOWN, timeout=30)
            known = answer.status_code < 500 or answer.status_code == 503
            assert known, (answer.status_code, case.as_curl_command(), answer.content)

        try:
            check()
        except Unsatisfiable:  # it takes nothing that could be wrong
            assert mode is GenerationMode.NEGATIVE
        tried += 1
    assert tried > 20
