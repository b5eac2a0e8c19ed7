"""Damage of SQLite files: found at opening, told in numbers, and what can be read of the file is saved."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.outputs.store import FILE, StoreReader
from monitor.outputs.store.database import open_for_writing
from monitor.system.sqlite_log import checksum, read_log
from tests.support.broker import eventually
from tests.support.events import label_of
from tests.support.queued_messages import queued
from tests.support.stored_events import NOON, event, kept, storing, window
from tests.support.stored_events import miss as near_miss

FRAME = 24 + 4096


@pytest.fixture
def killed(tmp_path):
    """Return a reader as a killed process leaves it: 200 events in the file, 50 in its log."""
    place = tmp_path / "whole"
    kept(place / FILE, *(event(NOON + i, id=f"OLD{i:03}") for i in range(200)))
    with storing(place / FILE) as store:
        for i in range(50):
            store.on_event(event(NOON + 1000 + i, id=f"NEW{i:03}"), label_of("dog"))
            eventually(lambda: not store.waiting)
        shutil.copytree(place, tmp_path / "state")
    return tmp_path / "state" / FILE


def opened(path):
    """Open a reader as a start does, and return the events that are in it."""
    kept(path, event(NOON + 5000, id="NOW"))
    with closing(StoreReader(path)) as reader, closing(sqlite3.connect(path)) as connection:
        found = {ident for (ident,) in connection.execute("SELECT id FROM events")}
        counted = len(reader.events(limit=500).rows)
    assert counted == min(500, len(found))
    assert "NOW" in found
    return found - {"NOW"}


def flip(path, offset, bits=0x10):
    content = bytearray(path.read_bytes())
    content[offset] ^= bits
    path.write_bytes(content)


def log_of(path):
    return path.with_name(f"{path.name}-wal")


def aside(path):
    return path.with_name(f"{path.stem}.broken{path.suffix}")


def test_the_checksum_is_that_of_sqlite(killed):
    header = log_of(killed).read_bytes()[:32]
    big = header[3] == 0x83
    assert checksum(header[:24], (0, 0), big=big) == tuple(
        int.from_bytes(header[at : at + 4], "big") for at in (24, 28)
    )


def test_a_whole_log_is_used_without_a_word(killed, caplog):
    log = read_log(killed)
    assert (log.usable, log.lost, log.missing, log.readable) == (len(log.frames), 0, 0, True)
    assert len(opened(killed)) == 250
    assert not [record for record in caplog.records if "store" in record.name]
    assert not aside(killed).exists()


@pytest.mark.parametrize(
    "offset",
    [0, 6, 9, 17, 25, 32 + 2, 32 + 9, 32 + 17, 32 + 300, 5 * FRAME + 40, 5 * FRAME + 50, 5 * FRAME + 900],
)
def test_a_bit_of_the_log_costs_no_row_that_can_be_read_and_is_told(killed, offset, caplog):
    flip(log_of(killed), offset)
    found = opened(killed)
    assert len(found) >= 245
    assert aside(killed).exists()
    assert log_of(aside(killed)).exists()
    assert "history.sqlite-wal cannot be used; it was renamed to" in caplog.text
    assert "rows saved, " in caplog.text


def test_what_sqlite_itself_would_have_lost_of_such_a_log(killed):
    flip(log_of(killed), 5 * FRAME + 900)
    with closing(sqlite3.connect(killed)) as connection:
        (left,) = connection.execute("SELECT count(*) FROM events").fetchone()
    assert left < 210


def test_a_log_whose_end_is_gone_is_told_by_its_index(killed, caplog):
    content = log_of(killed).read_bytes()
    log_of(killed).write_bytes(content[: 32 + 20 * FRAME])
    assert 200 <= len(opened(killed)) < 250
    assert "pages of its write-ahead log are missing: the newest rows are lost" in caplog.text


@pytest.mark.parametrize("index", ["as it was", "gone"])
def test_a_transaction_that_a_killed_process_did_not_finish_is_no_damage(tmp_path, index):
    place, state = tmp_path / "whole", tmp_path / "state"
    kept(place / FILE, event(NOON, id="OLD"))
    with storing(place / FILE) as store:
        store.on_event(event(NOON + 1, id="NEW"), label_of("dog"))
        eventually(lambda: not store.waiting)
        shutil.copytree(place, state)
        store.on_event(event(NOON + 2, id="HALF"), label_of("dog"))
        eventually(lambda: not store.waiting)
        shutil.copy(log_of(place / FILE), state)
    if index == "gone":
        (state / f"{FILE}-shm").unlink()
    before = read_log(state / FILE)
    flip(log_of(state / FILE), before.frames[-2].offset + 900)  # SQLite writes the last one first
    assert before.frames[-1].pages
    assert not before.frames[-2].pages
    assert not read_log(state / FILE).damaged
    assert opened(state / FILE) == {"OLD", "NEW"}
    assert not aside(state / FILE).exists()


@pytest.mark.parametrize("content", [b"x", b"noise" * 1000])
def test_a_log_that_is_none_is_told(killed, content, caplog):
    log_of(killed).write_bytes(content)
    assert len(opened(killed)) >= 200
    assert "history.sqlite-wal cannot be used" in caplog.text


@pytest.mark.parametrize("offset", [3, 16, 18, 19, 20, 21, 22, 23, 47])
def test_a_damaged_header_costs_nothing_and_leaves_no_file_in_memory_only(tmp_path, offset, caplog):
    path = tmp_path / FILE
    kept(path, *(event(NOON + i) for i in range(200)))
    flip(path, offset, 0x4C)
    assert len(opened(path)) == 200
    assert "rows saved, 0 lost" in caplog.text
    assert aside(path).exists()


def test_rows_on_both_sides_of_a_damaged_page_are_saved_and_the_others_counted(tmp_path, caplog):
    path = tmp_path / FILE
    kept(path, *(event(NOON + i, id=f"E{i:05}") for i in range(2000)))
    page = _leaf_of(path, b"E01000")
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    found = opened(path)
    assert 1900 < len(found) < 2000
    assert f"rows saved, {2000 - len(found)} lost" in caplog.text


def _leaf_of(path, text):
    """Return the number of the page of the table, not of an index, that holds a text."""
    content = path.read_bytes()
    return next(
        page + 1
        for page in range(len(content) // 4096)
        if content[page * 4096] == 13 and text in content[page * 4096 : (page + 1) * 4096]
    )


def test_a_file_that_lost_its_end_gives_back_the_rest(tmp_path):
    path = tmp_path / FILE
    kept(path, *(event(NOON + i) for i in range(2000)), *(near_miss(NOON + i) for i in range(2000)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 7])
    assert 300 < len(opened(path)) < 2000


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET started_at = 'soon' WHERE number = 7",
        "UPDATE events SET id = x'00ff' WHERE number = 7",
        "UPDATE events SET series = 99 WHERE number = 7",
        "UPDATE minutes SET peaks = x'01020304'",
        "UPDATE label_sets SET labels = '{'",
        "DROP INDEX events_by_time",
        "DROP TABLE minutes",
        "ALTER TABLE misses RENAME COLUMN at TO moment",
    ],
)
def test_values_and_tables_that_are_not_ours_are_set_aside_and_the_rest_is_saved(tmp_path, change):
    path = tmp_path / FILE
    kept(path, *(event(NOON + i) for i in range(20)), window(NOON, 0.5, 0.5))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(change)
    assert len(opened(path)) in {19, 20}


def test_the_database_of_another_program_is_neither_used_nor_lost(tmp_path, caplog):
    path = tmp_path / FILE
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE contacts (name)")
        connection.execute("INSERT INTO contacts VALUES ('Ada')")
    assert opened(path) == set()
    with closing(sqlite3.connect(aside(path))) as connection:
        assert connection.execute("SELECT name FROM contacts").fetchall() == [("Ada",)]
    assert "is a database of another program" in caplog.text


@pytest.mark.parametrize("beside", ["-wal", "-shm", "-journal", ""])
def test_what_is_no_file_is_set_aside(tmp_path, beside):
    path = tmp_path / FILE
    path.with_name(f"{FILE}{beside}").mkdir()
    assert opened(path) == set()


def test_letters_behind_a_damaged_place_in_the_log_are_delivered(tmp_path, caplog):
    path = tmp_path / "whole" / "outbox.sqlite"
    with closing(QueueFile(path)) as queue_file:
        for number in range(1, 51):
            queue_file.write([queued(number, phase="end", more="x" * 1500)], [])
        shutil.copytree(path.parent, tmp_path / "state")
    path = tmp_path / "state" / "outbox.sqlite"
    flip(log_of(path), 30 * FRAME + 2000)
    with DurableQueue(
        path, size=100, limits=QueueLimits(bytes=10**6, seconds=1e9), now=lambda: 0.0
    ) as backlog:
        messages = backlog.take(100)
        assert len(messages) >= 48
        assert len(messages) + backlog.dropped == 50
    assert "outbox.sqlite-wal cannot be used; it was renamed to" in caplog.text


def test_files_are_for_their_owner_alone_also_those_that_were_not(tmp_path):
    path = tmp_path / "state" / FILE
    kept(path, event())
    path.chmod(0o644)
    with closing(open_for_writing(path)):
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
