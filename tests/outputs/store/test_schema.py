"""The tables: made step by step, each whole or not at all, and a broken file stops nothing."""

import sqlite3
from contextlib import closing

import pytest

from monitor.outputs.store import EventFilter, StoreReader
from monitor.outputs.store.database import open_for_writing
from monitor.outputs.store.schema import STEPS, migrate
from monitor.system.sqlite import DatabaseError
from tests.support.events import label_of
from tests.support.stored_events import NOON, event, kept, miss, storing, window


def tables(connection):
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def made_until(path, step):
    """Return a connection to a file as an older version made it, with one event in it."""
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, STEPS[:step])
    connection.execute("INSERT INTO series VALUES (1, 'mic', 'dog')")
    connection.execute(
        "INSERT INTO events (id, series, started_at, ended_at, score, peak, windows, level_dbfs, uncertainty,"
        " reason) VALUES ('OLD', 1, ?, ?, 0.6, 0.7, 3, NULL, 1.0, 'quiet')",
        [NOON, NOON + 4],
    )
    return connection


@pytest.mark.parametrize(
    ("old", "new"), [("kept", "kept"), ("disk", "disk_error"), ("room", "disk_full"), (None, None)]
)
def test_clip_outcomes_of_an_older_version_get_their_new_words(path, old, new):
    with closing(made_until(path, [name for name, _ in STEPS].index("clip outcomes"))) as connection:
        connection.execute("UPDATE events SET fate = ?", [old])
    reader = kept(path, event(NOON + 9, id="NEW"))
    assert reader.event("OLD").clip_outcome == new


@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
def test_a_file_of_every_older_version_is_brought_up_to_date_with_what_is_in_it(path, step):
    made_until(path, step).close()
    reader = kept(path, event(NOON + 9, id="NEW"), miss(), window(NOON, 0.5))
    assert [each.event_id for each in reader.events().rows] == ["NEW", "OLD"]
    assert reader.event("OLD").peak_score == 0.7
    assert [each.reason for each in reader.misses().rows] == ["below_threshold"]
    assert reader.day(NOON, NOON + 60).lanes[0].events == 2
    with storing(path) as store:
        assert store.review("OLD", "right").result(30)
    assert [each.event_id for each in reader.events(EventFilter(review="right")).rows] == ["OLD"]
    with closing(sqlite3.connect(path)) as connection:
        taken = connection.execute("SELECT number, name FROM migrations").fetchall()
    assert taken == [(number, name) for number, (name, _) in enumerate(STEPS, 1)]


def test_every_way_to_the_newest_version_ends_in_the_same_tables(tmp_path):
    forms = set()
    for step in range(1, len(STEPS) + 1):
        made_until(tmp_path / f"{step}.sqlite", step).close()
        with closing(open_for_writing(tmp_path / f"{step}.sqlite")) as connection:
            forms.add(
                tuple(connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall())
            )
    assert len(forms) == 1


def test_a_step_that_fails_leaves_no_trace_and_is_taken_again(path):
    path.parent.mkdir()
    bad = ("bad", "CREATE TABLE half (x); INSERT INTO half VALUES (1); INSERT INTO nowhere VALUES (1);")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
            migrate(connection, (STEPS[0], bad))
        assert "half" not in tables(connection)
        assert connection.execute("SELECT number FROM migrations").fetchall() == [(1,)]
        migrate(connection, (STEPS[0], ("good", "CREATE TABLE half (x);")))
        assert "half" in tables(connection)


def test_a_file_of_a_newer_version_is_neither_used_nor_touched(path, caplog):
    kept(path, event())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO migrations VALUES (99, 'later', 0)")
    with pytest.raises(
        DatabaseError, match=f"was written by a newer version: migration 99, this version has {len(STEPS)}"
    ):
        open_for_writing(path)
    with storing(path) as store:
        store.on_event(event(), label_of("dog"))
    assert store.trouble == f"was written by a newer version: migration 99, this version has {len(STEPS)}"
    assert caplog.text.count("newer version") == 2  # once at the beginning, and with what was lost by it
    assert "3 changes are lost" in caplog.text
    assert not path.with_name("history.broken.sqlite").exists()


@pytest.mark.parametrize("harm", ["nonsense", "half", "a page"])
def test_a_broken_file_is_set_aside_and_told_and_a_new_one_begun(path, caplog, harm):
    kept(path, *(event(NOON + i) for i in range(300)))
    content = path.read_bytes()
    harmed = {
        "nonsense": b"this is no database" * 1000,
        "half": content[: len(content) // 2 + 7],
        "a page": content[:4096] + bytes(range(256)) * 64 + content[4096 + 256 * 64 :],
    }
    path.write_bytes(harmed[harm])
    reader = kept(path, event(id="NEW"))
    assert [each.event_id for each in reader.events().rows] == ["NEW"]
    aside = path.with_name("history.broken.sqlite")
    assert aside.read_bytes()[4096:] == harmed[harm][4096:]  # to open it counts in its header
    assert f"it was renamed to {aside}, and a new file is used" in caplog.text


def test_a_file_that_breaks_while_it_is_used_is_set_aside_too(path, caplog):
    with storing(path, retry_seconds=0.01) as store:
        store.on_event(event(id="BEFORE"), label_of("dog"))
        while store.waiting:
            pass
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        store.on_event(event(id="AFTER"), label_of("dog"))
        while store.waiting:
            pass
    assert [each.event_id for each in StoreReader(path).events().rows] == ["AFTER"]
    assert "a new file is used" in caplog.text


def test_readers_follow_to_the_new_file(path):
    reader = kept(path, event(id="OLD"))
    assert len(reader.events().rows) == 1
    path.write_bytes(b"broken")
    kept(path, event(id="NEW"))
    assert [each.event_id for each in reader.events().rows] == ["NEW"]
    reader.close()
