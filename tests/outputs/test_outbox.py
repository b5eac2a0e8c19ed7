import threading

import pytest

from monitor.outputs.outbox import Outbox


def test_everything_is_delivered_in_order_before_run_returns():
    delivered = []
    outbox = Outbox(delivered.append, size=10)
    for number in range(5):
        outbox.put(number)
    outbox.close()
    outbox.run()
    assert delivered == [0, 1, 2, 3, 4]
    assert (outbox.waiting, outbox.dropped) == (0, 0)


def test_a_full_box_drops_the_oldest_and_counts_it():
    delivered = []
    outbox = Outbox(delivered.append, size=2)
    for number in range(5):
        outbox.put(number)
    assert (outbox.waiting, outbox.dropped) == (2, 3)
    outbox.close()
    outbox.run()
    assert delivered == [3, 4]


def test_run_returns_at_once_if_closed_and_empty():
    outbox = Outbox(pytest.fail, size=1)
    assert not outbox.closed
    outbox.close()
    outbox.run()
    assert outbox.closed


def test_a_put_during_a_delivery_does_not_wait_for_it():
    delivering, released = threading.Event(), threading.Event()
    delivered = []

    def slowly(number):
        delivering.set()
        assert released.wait(60)
        delivered.append(number)

    outbox = Outbox(slowly, size=2)
    thread = threading.Thread(target=outbox.run)
    thread.start()
    outbox.put(0)
    assert delivering.wait(60)
    for number in (1, 2, 3):
        outbox.put(number)  # would never return if it waited: `released` is not set yet
    assert (outbox.waiting, outbox.dropped) == (2, 1)
    released.set()
    outbox.close()
    thread.join(60)
    assert delivered == [0, 2, 3]


def test_flush_delivers_no_more_than_asked_and_waits_for_nothing():
    delivered = []
    outbox = Outbox(delivered.append, size=10)
    assert outbox.flush(3) == 0
    for number in range(5):
        outbox.put(number)
    assert outbox.flush(-1) == 0
    assert outbox.flush(3) == 3
    assert delivered == [0, 1, 2]
    assert outbox.flush(3) == 2
    assert outbox.waiting == 0


def test_a_failing_delivery_ends_run_and_keeps_the_rest():
    def fail(_):
        raise OSError("disk full")

    outbox = Outbox(fail, size=3)
    outbox.put(0)
    outbox.put(1)
    with pytest.raises(OSError, match="disk full"):
        outbox.run()
    assert outbox.waiting == 1


def test_a_box_that_can_hold_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        Outbox(print, size=0)


def test_several_threads_deliver_everything_once_and_all_of_them_end():
    delivered = []
    outbox = Outbox(delivered.append, size=1000)
    threads = [threading.Thread(target=outbox.run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(500):
        outbox.put(number)
    outbox.close()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert sorted(delivered) == list(range(500))
