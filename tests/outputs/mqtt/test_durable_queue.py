import logging
from contextlib import ExitStack, closing

import pytest

from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.late_events import LateEvents
from monitor.outputs.mqtt.queue_file import QueueFile
from tests.support.queued_messages import overwrite, queued
from tests.support.small_disk import fill, small_disk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "small", "256k") as place:
        yield place


def durable_queue(path, *, size=100, most_bytes=1_000_000, most_seconds=1000.0, now=lambda: 0.0):
    return DurableQueue(path, size=size, limits=QueueLimits(most_bytes, most_seconds), now=now)


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def taken(it, most=100):
    return [each.number for each in it.take(most)]


@pytest.mark.parametrize("durable", [True, False])
def test_messages_are_taken_in_order_and_once_until_they_are_taken_back(path, durable):
    with durable_queue(path if durable else None) as it:
        it.add([queued(1), queued(2), queued(3)])
        assert (taken(it, 2), taken(it), taken(it)) == ([1, 2], [3], [])
        it.remove([2])
        assert it.waiting == 2
        it.take_back()
        it.add([queued(4)])
        assert taken(it) == [1, 3, 4]
        it.remove([1, 3, 4])
        assert (it.waiting, it.dropped) == (0, 0)


def test_a_message_is_in_the_file_before_it_is_taken(path):
    with durable_queue(path) as it:
        it.add([queued(1)])
        assert it.written == 1
        (handed_out,) = it.take(1)
        assert it._memory == []
        assert handed_out == queued(1)


def test_messages_that_were_not_removed_wait_for_the_next_run(path):
    with durable_queue(path) as it:
        it.add([queued(1, phase="end"), queued(2, phase="end"), queued(3, phase="end")])
        it.take(3)
        it.remove([2])
    assert it.waiting == 2
    with durable_queue(path) as it:
        assert it.waiting == 2
        it.add([queued(1, phase="end")])
        assert [int(each.event_id) for each in it.take(9)] == [1, 3, 1]


def test_an_event_interrupted_by_a_crash_is_ended_once_by_the_next_run(path):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(1), queued(2)], [1])
    for _ in range(2):
        with durable_queue(path, now=lambda: 500.0) as it:
            start, *ends = it.take(9)
            assert start.event_id == queued(2).event_id
            assert [(end.number, end.event_id) for end in ends] == [
                (-1, queued(1).event_id),
                (0, queued(2).event_id),
            ]
            for end in ends:
                assert (end.payload["phase"], end.payload["reason"]) == ("end", "restart")
                assert (end.happened_at, end.queued_at) == (None, 500.0)


def test_in_memory_the_oldest_are_dropped_except_those_in_flight():
    with durable_queue(None, size=3) as it:
        it.add([queued(1), queued(2), queued(3)])
        assert taken(it, 1) == [1]
        it.add([queued(4), queued(5)])
        assert (it.waiting, it.dropped) == (3, 2)
        assert taken(it) == [4, 5]


def test_in_the_file_the_oldest_are_dropped(path):
    with durable_queue(path, most_bytes=3000) as it:
        it.add([queued(number, more="x" * 900) for number in range(1, 6)])
        assert (it.waiting, it.dropped) == (2, 3)
        assert taken(it) == [4, 5]


def test_messages_that_waited_too_long_are_dropped_when_the_broker_comes_back(path):
    clock = [0.0]
    with durable_queue(path, most_seconds=60.0, now=lambda: clock[0]) as it:
        it.add([queued(1, queued_at=0.0), queued(2, queued_at=30.0)])
        clock[0] = 61.0
        it.take_back()
        assert it.dropped == 1
        assert taken(it) == [2]


@pytest.mark.root
def test_a_full_disk_is_logged_once_and_messages_are_sent_from_memory(disk, caplog):
    caplog.set_level(logging.INFO)
    path = disk / "outbox.sqlite"
    with durable_queue(path, size=3) as it:
        it.add([queued(1)])
        filler = fill(disk)
        it.add([queued(2, more="x" * 20_000)])
        it.add([queued(3)])
        assert (it.waiting, it.written) == (3, 1)
        assert taken(it) == [1, 2, 3]
        it.remove([2, 3])
        for number in (4, 5, 6, 7):
            it.add([queued(number, more="x" * 20_000)])
        assert (it.waiting, it.dropped) == (4, 1)
        assert said(caplog) == [
            f"mqtt: {path}: cannot be used: database or disk is full: events wait in memory only"
        ]
        filler.unlink()
        it.remove([1])
        assert it.written == 7
        assert taken(it) == [5, 6, 7]
    assert said(caplog)[1:] == [f"mqtt: {path}: works again"]


@pytest.mark.root
def test_a_disk_that_is_full_at_the_start_is_used_once_it_has_space(disk):
    filler = fill(disk)
    path = disk / "outbox.sqlite"
    with durable_queue(path) as it:
        it.add([queued(1, phase="end")])
        assert taken(it) == [1]
        filler.unlink()
        it.add([queued(2, phase="end")])
        assert it.written == 2
    with durable_queue(path) as it:
        assert it.waiting == 2


def test_messages_acknowledged_while_the_file_could_not_be_used_are_not_taken_again(path):
    with durable_queue(path) as it:
        it.add([queued(1), queued(2)])
        assert taken(it) == [1, 2]
        it._file._connection.execute("PRAGMA query_only = ON")
        it.remove([1])
        assert it.waiting == 1
        it.take_back()
        assert taken(it) == [2]


def test_a_file_open_in_another_process_is_used_when_it_is_free(path, caplog):
    with ExitStack() as other, durable_queue(path) as it:
        other.callback(it.__exit__, None, None, None)
        it.add([queued(1, phase="end")])
        with durable_queue(path) as second:
            second.add([queued(1, label="dog", phase="end")])
            assert [each.label for each in second.take(9)] == ["dog"]
            assert "database is locked: events wait in memory only" in said(caplog)[0]
            other.close()
            second.take_back()
            assert [(each.number, each.label) for each in second.take(9)] == [(0, "glass"), (1, "dog")]


def test_a_broken_file_is_set_aside_and_logged(path, caplog):
    path.write_bytes(b"these are not the bytes of a database" * 1000)
    with durable_queue(path) as it:
        it.add([queued(1)])
        assert (taken(it), it.written) == ([1], 1)
    aside = path.with_name("outbox.broken.sqlite")
    assert said(caplog) == [
        f"mqtt: {path}: is damaged: file is not a database; it was renamed to {aside}",
        f"mqtt: {path}: none of its rows can be read",
    ]
    assert aside.read_bytes().startswith(b"these are not")


def test_a_file_that_breaks_while_in_use_loses_only_its_waiting_messages(path, caplog):
    with durable_queue(path) as it:
        it.add([queued(1, phase="end"), queued(2, phase="end")])
    overwrite(path, b"glass", b"grass")
    with durable_queue(path) as it:
        it.add([queued(1)])
        assert [each.label for each in it.take(9)] == ["glass"]
        assert (it.waiting, it.dropped) == (1, 2)
        it.add([queued(2)])
        assert (taken(it), it.written) == ([2], 2)
    assert said(caplog)[1:] == [
        f"mqtt: {path}: 2 rows saved, 2 lost"
    ]  # the start, also as an event that lasts


def test_a_broken_file_that_cannot_be_set_aside_is_no_more_than_a_full_disk(tmp_path, caplog):
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"these are not the bytes of a database" * 1000)
    (tmp_path / "outbox.broken.sqlite").mkdir()
    with durable_queue(path) as it:
        it.add([queued(1)])
        assert taken(it) == [1]
        it.remove([1])
        assert it.waiting == 0
    assert said(caplog) == [f"mqtt: {path}: cannot be used: Is a directory: events wait in memory only"]


@pytest.mark.parametrize("in_file", [True, False], ids=["file", "memory"])
def test_late_events_and_their_ends_can_be_skipped(path, in_file):
    with durable_queue(path if in_file else None) as kept:
        end = queued(3, phase="end", event=queued(1).event_id)
        kept.add([queued(1), queued(2), end, *(queued(number) for number in range(4, 9))])
        late_events = LateEvents()
        late_events.begin(2, {end.event_id})
        spared = kept.take(3, late_events.holds)
        assert [each.number for each in spared] == [4, 5, 6]
        assert [each.number for each in kept.take(100, late_events.holds)] == [7, 8]
        kept.rewind()
        assert [each.number for each in kept.take(100)] == [1, 2, 3]
        assert kept.is_safe == in_file
