import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.system.sqlite import BrokenDatabaseError, DatabaseError, set_aside
from tests.support.queued_messages import overwrite, queued


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "outbox.sqlite"


def fill(path, *messages, removed=()):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write(messages, removed)


def numbers(queue_file):
    return [each.number for each in queue_file.read(100)]


def test_messages_are_read_as_written_and_in_order(path):
    messages = [queued(number) for number in (1, 2, 3)]
    with closing(QueueFile(path)) as queue_file:
        queue_file.write(messages[:2], [])
        queue_file.write(messages[2:], [])
        assert queue_file.read(100) == messages
        assert queue_file.read(2) == messages[:2]


def test_messages_of_an_earlier_run_have_numbers_up_to_0_and_come_first(path):
    fill(path, queued(1, phase="end"), queued(2, phase="end"))
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(1)], [])
        assert numbers(queue_file) == [-1, 0, 1]


def test_count_and_size_include_messages_of_an_earlier_run(path):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(1, phase="end"), queued(2, phase="end"), queued(3, phase="end")], [])
        of_three = queue_file.bytes
        queue_file.write([], [2, 99])
        assert (queue_file.count, queue_file.bytes) == (2, of_three * 2 // 3)
    with closing(QueueFile(path)) as queue_file:
        assert (queue_file.count, queue_file.bytes) == (2, of_three * 2 // 3)


def test_an_event_lasts_until_its_end_is_written_even_if_its_start_has_been_delivered(path):
    fill(path, queued(1), queued(2), queued(3, phase="end", event=queued(1).event_id), removed=[1, 2, 3])
    with closing(QueueFile(path)) as queue_file:
        assert [(start.event_id, start.number) for start in queue_file.unfinished] == [
            (queued(2).event_id, 0)
        ]
        queue_file.write([queued(0, phase="end", event=queued(2).event_id)], [])
    with closing(QueueFile(path)) as queue_file:
        assert queue_file.unfinished == []


def test_a_write_that_fails_changes_nothing(path):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(1)], [])
        with pytest.raises(DatabaseError, match="cannot be used: UNIQUE"):
            queue_file.write([queued(2), queued(1)], [1])
        assert numbers(queue_file) == [1]
        assert queue_file.count == 1


def test_the_oldest_are_dropped_except_those_to_keep(path):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(number) for number in range(1, 6)], [])
        two = queue_file.bytes * 2 // 5
        assert queue_file.trim(max_bytes=queue_file.bytes, queued_after=0.0, keep=()) == 0
        assert queue_file.trim(max_bytes=two, queued_after=0.0, keep={1}) == 3
        assert numbers(queue_file) == [1, 5]


def test_messages_that_are_too_old_are_dropped_whatever_their_size(path):
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(number, queued_at=number * 10.0) for number in (1, 2, 3)], [])
        assert queue_file.trim(max_bytes=10_000, queued_after=20.0, keep=()) == 1
        assert numbers(queue_file) == [2, 3]


def test_a_killed_process_leaves_all_that_it_has_written(path):
    program = f"""
import os, signal
from pathlib import Path
from monitor.outputs.mqtt.queue_file import QueueFile
from tests.support.queued_messages import queued
queue_file = QueueFile(Path({str(path)!r}))
queue_file.write([queued(1), queued(2)], [])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    with closing(QueueFile(path)) as queue_file:
        assert [each.event_id for each in queue_file.read(100)] == [queued(1).event_id, queued(2).event_id]


def test_a_second_process_cannot_have_the_file(path):
    with closing(QueueFile(path)), pytest.raises(DatabaseError, match="cannot be used: database is locked"):
        QueueFile(path)
    QueueFile(path).close()


def test_a_path_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(DatabaseError, match="cannot be used: File exists"):
        QueueFile(tmp_path / "state" / "outbox.sqlite")


def test_a_file_that_is_not_a_database_is_broken(path):
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 1000)
    with pytest.raises(BrokenDatabaseError, match="is damaged: file is not a database"):
        QueueFile(path)


def test_a_file_that_lost_its_end_is_broken(path):
    fill(path, *(queued(number, more="x" * 1000) for number in range(1, 30)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BrokenDatabaseError, match="is damaged: "):
        QueueFile(path)


def test_a_damaged_message_is_not_returned(path):
    fill(path, queued(1, phase="end"))
    overwrite(path, b"glass", b"grass")
    with (
        closing(QueueFile(path)) as queue_file,
        pytest.raises(BrokenDatabaseError, match="checksum of a message is wrong"),
    ):
        queue_file.read(1)


def test_a_damaged_start_breaks_the_file_and_leaves_it_closed(path):
    fill(path, queued(1), removed=[1])
    overwrite(path, b"glass", b"grass")
    for _ in range(2):
        with pytest.raises(BrokenDatabaseError, match="checksum of a message is wrong"):
            QueueFile(path)


def test_a_file_of_another_version_is_not_touched(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    with pytest.raises(BrokenDatabaseError, match="is of version 7, not 1"):
        QueueFile(path)


def test_only_the_newest_broken_file_is_kept_and_nothing_of_it_gets_into_the_new_one(path):
    path.parent.mkdir()
    for content in (b"old", b"new"):
        path.write_bytes(content)
        path.with_name("outbox.sqlite-wal").write_bytes(content)
        aside = set_aside(path)
    path.write_bytes(b"newest")
    assert set_aside(path) == aside == path.with_name("outbox.broken.sqlite")
    assert [each.name for each in path.parent.iterdir()] == [aside.name]
    assert aside.read_bytes() == b"newest"
