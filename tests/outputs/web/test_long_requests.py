"""Long requests: one at a time, in the background, and not for clients that have gone."""

import asyncio
import threading
import time

import pytest
from fastapi import HTTPException

from monitor.outputs.web.long_requests import LONGEST_REST_SECONDS, MOST_WAITING, GivenUpError, LongRequests


class Client:
    """A client that disconnects when it is told to."""

    gone = False

    async def is_disconnected(self):
        return self.gone


def test_the_answer_is_that_of_the_work():
    assert asyncio.run(LongRequests().answer(Client(), lambda _: 7)) == 7


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ZeroDivisionError):
        asyncio.run(LongRequests().answer(Client(), lambda _: 1 // 0))


def test_the_work_rests_now_and_then():
    steps = []

    def work(check):
        for step in range(3):
            began = time.monotonic()
            while time.monotonic() < began + LONGEST_REST_SECONDS:
                pass  # keeps Python's lock
            worked_until = time.monotonic()
            check()
            steps.append((step, time.monotonic() - worked_until))
        return "done"

    assert asyncio.run(LongRequests().answer(Client(), work)) == "done"
    assert [step for step, _ in steps] == [0, 1, 2]
    assert all(rest >= 0.9 * LONGEST_REST_SECONDS for _, rest in steps)


def test_one_runs_at_a_time_and_too_many_are_refused():
    running, most, may_end = [], [], threading.Event()

    def work(_):
        running.append(1)
        most.append(len(running))
        may_end.wait(60)
        running.pop()
        return "done"

    async def ask():
        requests = LongRequests()
        waiting = [asyncio.ensure_future(requests.answer(Client(), work)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(HTTPException, match="Too many") as refused:
            await requests.answer(Client(), work)
        may_end.set()
        return refused.value.status_code, await asyncio.gather(*waiting)

    status, answers = asyncio.run(ask())
    assert status == 503
    assert answers == ["done"] * MOST_WAITING
    assert set(most) == {1}


def test_work_is_given_up_when_its_client_has_gone():
    client, given_up = Client(), threading.Event()

    def work(check):
        client.gone = True
        try:
            while not given_up.wait(0.01):
                check()
        except GivenUpError:
            given_up.set()
            raise

    async def ask():
        requests = LongRequests()
        with pytest.raises(HTTPException):
            await requests.answer(client, work)
        return await requests.answer(Client(), lambda _: "the next one")

    assert asyncio.run(ask()) == "the next one"
    assert given_up.is_set()
