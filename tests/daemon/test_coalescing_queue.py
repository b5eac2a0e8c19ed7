"""Requests of many threads for one: nothing is lost within the bounds, and the newest of a key counts."""

import threading

from monitor.daemon.command_queue import CoalescingQueue
from tests.support.broker import PATIENCE


def taken(queue):
    queue.close()
    return list(iter(queue.take, None))


def test_a_newer_one_takes_the_place_of_an_older_and_waits_behind_all_others():
    queue = CoalescingQueue({"first": 1, "rest": 10})
    for key, request in (("a", "a1"), ("b", "b1"), ("a", "a2"), ("c", "c1")):
        assert queue.put(request, lane="rest", key=key) is None
    assert queue.replaced == 1
    assert taken(queue) == ["b1", "a2", "c1"]


def test_lanes_keep_the_order_between_them_but_the_first_lane_comes_first():
    queue = CoalescingQueue({"first": 1, "one": 10, "other": 10})
    for lane, request in (("one", 1), ("other", 2), ("one", 3), ("first", 4), ("other", 5)):
        queue.put(request, lane=lane, key=request)
    assert taken(queue) == [4, 1, 2, 3, 5]


def test_in_a_full_lane_the_oldest_makes_room_and_is_returned():
    queue = CoalescingQueue({"first": 1, "one": 2, "other": 2})
    queue.put("kept", lane="other", key="kept")
    lost = [queue.put(number, lane="one", key=number) for number in range(5)]
    assert lost == [None, None, 0, 1, 2]
    assert queue.put("again", lane="one", key=4) is None
    assert taken(queue) == ["kept", 3, "again"]


def test_threads_that_put_and_one_that_takes_lose_nothing():
    queue = CoalescingQueue({"first": 1, "rest": 4000})
    got = []
    taker = threading.Thread(target=lambda: got.extend(iter(queue.take, None)))
    putters = [
        threading.Thread(
            target=lambda start=start: [
                queue.put(number, lane="rest", key=number) for number in range(start, start + 1000)
            ]
        )
        for start in range(0, 4000, 1000)
    ]
    for thread in (taker, *putters):
        thread.start()
    for thread in putters:
        thread.join(PATIENCE)
    queue.close()
    taker.join(PATIENCE)
    assert sorted(got) == list(range(4000))
