"""Worker: results in the order of the items, while the next item is made; what fails is raised."""

import threading

import pytest

from monitor.system.worker_thread import Worker

PATIENCE = 60


def test_results_come_in_order_with_their_items():
    worker = Worker("double", lambda number: 2 * number)
    assert list(worker.results(range(5))) == [(number, 2 * number) for number in range(5)]
    assert list(worker.results([7])) == [(7, 14)]
    worker.close()


def test_the_next_item_is_made_while_the_function_is_called():
    made = threading.Event()

    def items():
        yield 1
        made.set()
        yield 2

    worker = Worker("wait", lambda _: made.wait(PATIENCE))
    assert list(worker.results(items())) == [(1, True), (2, True)]
    worker.close()


def test_what_the_function_raises_is_raised_where_its_result_is_taken():
    def fail(_):
        raise ValueError("no numbers")

    worker = Worker("fail", fail)
    with pytest.raises(ValueError, match="no numbers"):
        list(worker.results([1]))
    worker.close()
