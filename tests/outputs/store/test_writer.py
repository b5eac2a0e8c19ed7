"""Writing: nobody waits for the disk, nothing is lost while it is full, and limits hold."""

import logging
import math
import sqlite3
import threading
import time
from concurrent.futures import wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

import pytest

from monitor.config import StoreConfig
from monitor.outputs.store import EventFilter, StoreError, StoreReader, user_requests, writer
from monitor.outputs.store.database import open_for_writing
from monitor.outputs.store.retention import Retention
from monitor.system.threads import ThreadGroup
from tests.support.broker import eventually
from tests.support.clocks import settled
from tests.support.events import label_of
from tests.support.small_disk import fill, remount, small_disk
from tests.support.stored_events import FOR_EVER, NOON, event, kept, miss, storing, window

DAY = 86_400


@pytest.mark.root
def test_on_a_full_disk_everything_waits_and_is_kept_when_there_is_room_again(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with small_disk(tmp_path / "small") as place:
        path = place / "history.sqlite"
        reader = StoreReader(path)
        with storing(path, retry_seconds=0.05) as store:
            store.on_event(event(NOON, id="BEFORE"), label_of("dog"))
            eventually(lambda: store.waiting == 0)
            filler = fill(place)
            ids = [f"FULL{i:04d}" for i in range(2000)]
            for i, ident in enumerate(ids):
                store.on_event(event(NOON + 1 + i, id=ident), label_of("dog"))
            eventually(lambda: store.trouble is not None)
            assert "full" in store.trouble
            assert store.waiting > 0
            with pytest.raises(StoreError, match="full"):
                raise store.review("BEFORE", "right").exception(30)
            assert [e.event_id for e in reader.events(EventFilter(until=NOON + 1)).rows] == ["BEFORE"]
            filler.unlink()
            eventually(lambda: store.trouble is None and store.waiting == 0)
            assert store.dropped == 0
            assert store.review("BEFORE", "right").result(30)
        assert {reader.event(ident).event_id for ident in ids} == set(ids)
        reader.close()
    assert caplog.text.count("changes are kept in memory only") == 1
    assert caplog.text.count("works again") == 1


def test_a_disk_that_is_full_from_the_beginning_stops_nothing(full_disk):
    with storing(full_disk / "state" / "history.sqlite", retry_seconds=0.05) as store:
        store.on_event(event(id="ONE"), label_of("dog"))
        eventually(lambda: store.trouble is not None)
        (full_disk / "filler").unlink()
        remount(full_disk, "size=2m")
        eventually(lambda: store.waiting == 0)
    reader = StoreReader(full_disk / "state" / "history.sqlite")
    assert reader.event("ONE").reason == "quiet"
    reader.close()


def test_what_had_to_wait_for_the_disk_is_late(path, monkeypatch):
    monkeypatch.setattr(writer, "LATE_SECONDS", -1.0)
    assert kept(path, event(id="ONE")).event("ONE").late
    monkeypatch.undo()
    assert not kept(path, event(id="TWO")).event("TWO").late


def test_when_too_much_waits_the_oldest_makes_room_and_is_counted(tmp_path):
    (tmp_path / "file").write_text("")
    store = writer.Store(tmp_path / "file" / "history.sqlite", StoreConfig(), rate=4)
    for i in range(writer.IN_MEMORY + 10):
        store.on_event(event(NOON + i), label_of("dog"))
    assert store.dropped == 10
    store.close()
    store.run()
    assert store.trouble == "cannot be used: File exists"
    assert store.waiting == writer.IN_MEMORY + 1  # and that events of an earlier run are over


def test_another_process_that_writes_is_waited_for(path):
    kept(path, event(id="ONE"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other, storing(path) as store:
        other.execute("BEGIN IMMEDIATE")
        store.on_event(event(id="TWO"), label_of("dog"))
        other.execute("COMMIT")
        eventually(lambda: store.waiting == 0)
    assert store.trouble is None
    assert StoreReader(path).event("TWO") is not None


def test_what_the_tables_refuse_does_not_keep_the_rest_out(path, caplog):
    with storing(path) as store:
        store.on_event(replace(event(id="BAD"), peak_score=math.nan), label_of("dog"))
        store.on_event(event(id="GOOD"), label_of("dog"))
    assert store.refused == 1
    assert [each.event_id for each in StoreReader(path).events().rows] == ["GOOD"]
    assert "store: refused: IntegrityError: NOT NULL" in caplog.text


def test_who_asks_after_the_end_is_told(path):
    with storing(path) as store:
        pass
    assert isinstance(store.review("ONE", "right").exception(30), StoreError)


def test_who_goes_away_while_waiting_disturbs_nobody(path):
    kept(path, event(id="ONE"))
    with storing(path) as store:
        asks = [store.review("ONE", "right") for _ in range(50)]
        for ask in asks:
            ask.cancel()
        wait(asks, 30)
        assert store.review("ONE", "wrong").result(30)
    assert StoreReader(path).event("ONE").review == "wrong"


def test_too_many_who_wait_are_sent_away(path):
    store = writer.Store(path, StoreConfig(), rate=4)
    asks = [store.review("ONE", "right") for _ in range(user_requests.MAX_WAITING + 1)]
    assert str(asks[-1].exception(1)) == "too many requests are waiting"
    store.close()
    store.run()
    assert [ask.result(1) for ask in asks[:-1]] == [False] * user_requests.MAX_WAITING


def test_a_minute_that_two_runs_share_is_one(path):
    kept(path, window(NOON + 1, 0.9, 0.1, level_dbfs=-50.0))
    reader = kept(path, window(NOON + 30, 0.2, 0.4, level_dbfs=-20.0))
    day = reader.day(NOON, NOON + 60)
    assert [lane.peaks for lane in day.lanes] == [(0.4,), (0.9,)]
    assert day.levels == {"mic": (-20.0,)}


class TestClipsFound:
    """What is on the library at the beginning, and what the events say, are brought together."""

    def events_with(self, path, *found):
        with storing(path) as store:
            store.on_clips_found(found)
        return {each.event_id: (each.clip, each.clip_outcome) for each in StoreReader(path).events().rows}

    def test_a_clip_whose_event_does_not_know_of_it_is_linked(self, path):
        kept(path, event(id="ONE"))
        assert self.events_with(path, ("a.flac", "ONE", event(id="ONE"))) == {"ONE": ("a.flac", "kept")}

    def test_a_clip_that_is_gone_is_no_longer_linked(self, path):
        with storing(path) as store:
            store.on_event(event(id="ONE"), label_of("dog"))
            store.on_clip_outcome("ONE", "a.flac", "kept")
        assert self.events_with(path) == {"ONE": (None, "gone")}

    def test_an_event_that_was_never_written_comes_back_from_beside_its_clip(self, path):
        assert self.events_with(path, ("a.flac", "ONE", event(id="ONE"))) == {"ONE": ("a.flac", "kept")}
        assert StoreReader(path).event("ONE").late

    def test_a_clip_of_which_nothing_is_known_stops_nothing(self, path):
        assert self.events_with(path, ("a.flac", "ONE", None), ("b.flac", "TWO", event(id="OTHER"))) == {}


class TestRetention:
    def kept_after(self, path, **limits):
        retention = Retention(StoreConfig(**limits), settled(NOON))
        with closing(open_for_writing(path)) as connection:
            retention.apply(connection)
        return StoreReader(path)

    def test_what_is_too_old_goes_each_kind_by_its_own_age(self, path):
        for days in (1, 5, 20):
            at = NOON - days * DAY
            kept(path, event(at, id=f"E{days}"), miss(at), window(at, 0.5))
        reader = self.kept_after(path, keep_days=10, keep_near_misses_days=2, keep_minutes_days=6)
        assert [each.event_id for each in reader.events().rows] == ["E1", "E5"]
        assert [each.peak_at for each in reader.misses().rows] == [NOON - DAY]
        with closing(sqlite3.connect(path)) as connection:
            minutes = connection.execute("SELECT minute FROM minutes ORDER BY 1").fetchall()
        assert minutes == [((NOON - 5 * DAY) // 60,), ((NOON - DAY) // 60,)]

    def test_an_event_stays_as_long_as_its_clip(self, path):
        old = NOON - 99 * DAY
        with storing(path) as store:
            store.on_event(event(old, id="WITH"), label_of("dog"))
            store.on_event(event(old, id="WITHOUT"), label_of("dog"))
            store.on_clip_outcome("WITH", "a.flac", "kept")
        assert [e.event_id for e in self.kept_after(path, keep_days=1).events().rows] == ["WITH"]

    def test_beyond_its_size_near_misses_go_first_and_events_last(self, path, caplog):
        kept(
            path,
            *(event(NOON - i, id=f"E{i}") for i in range(6000)),
            *(miss(NOON - 1 - i) for i in range(2000)),
        )
        before = path.stat().st_size
        reader = self.kept_after(path, max_megabytes=1)
        assert reader.misses().rows == ()
        assert reader.event("E0") is not None
        assert reader.event("E5999") is None
        assert path.stat().st_size < before
        assert "oldest near misses deleted: more than 1 MB" in caplog.text

    def test_it_is_applied_by_the_writer_at_its_start(self, path):
        kept(path, event(time.time() - 9 * DAY, id="OLD"), event(time.time(), id="NEW"))
        reader = kept(path, config=StoreConfig(keep_days=1))
        assert [each.event_id for each in reader.events().rows] == ["NEW"]


@pytest.mark.parametrize(
    "strange",
    [
        replace(event(id="BAD"), windows=2**70),
        replace(event(id="BAD"), label="\ud800"),
        replace(event(id="BAD"), source=["mic"]),
        replace(event(id="BAD"), reason={}),
        replace(event(id="BAD"), level_dbfs="loud"),
        replace(event(id="BAD"), id=None),
    ],
)
def test_whatever_a_change_holds_it_stops_no_other(path, strange):
    with storing(path) as store:
        store.on_event(event(id="BEFORE"), label_of("dog"))
        store.on_event(strange, label_of("dog"))
        store.on_event(event(id="AFTER"), label_of("dog"))
        with pytest.raises(StoreError, match="refused"):
            raise store.review("\ud800", "right").exception(30)
    assert (store.refused, store.waiting, store.trouble) == (1, 0, None)
    assert {each.event_id for each in StoreReader(path).events().rows} == {"BEFORE", "AFTER"}


@contextmanager
def locked(path, mode):
    """Hold a file as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize(("mode", "from_the_start"), [("WAL", True), ("DELETE", True), ("WAL", False)])
def test_a_file_that_is_locked_for_all_of_a_run_ends_it_in_time_and_says_what_is_lost(
    path, mode, from_the_start, caplog
):
    kept(path, event(id="BEFORE"))
    store = writer.Store(path, FOR_EVER, rate=4, retry_seconds=0.01)
    threads = ThreadGroup(threading.Event())
    with ExitStack() as other:
        if from_the_start:
            other.enter_context(locked(path, mode))
        threads.start("store", store.run)
        if not from_the_start:
            eventually(lambda: store.waiting == 0)
            other.enter_context(locked(path, mode))
        store.on_event(event(id="DURING"), label_of("dog"))
        eventually(lambda: store.trouble is not None)
        store.close()
        threads.join(writer.END_SECONDS + 30)
    assert "locked" in store.trouble
    assert f"{store.waiting} changes are lost: cannot be used: database is locked" in caplog.text


def test_a_lock_that_goes_away_in_the_midst_of_a_run_costs_nothing(path):
    kept(path, event(id="BEFORE"))
    with storing(path, retry_seconds=0.01) as store:
        with locked(path, "WAL"):
            store.on_event(event(id="DURING"), label_of("dog"))
            eventually(lambda: store.trouble is not None)
        eventually(lambda: store.trouble is None and not store.waiting)
    assert StoreReader(path).event("DURING") is not None


@pytest.mark.root
def test_on_a_read_only_disk_everything_waits_and_the_run_ends(tmp_path):
    with small_disk(tmp_path / "small") as place:
        path = place / "history.sqlite"
        kept(path, event(id="BEFORE"))
        remount(place, "ro")
        with storing(path, retry_seconds=0.01) as store:
            store.on_event(event(id="DURING"), label_of("dog"))
            eventually(lambda: store.trouble is not None)
        assert store.waiting
        assert not path.with_name("history.broken.sqlite").exists()
        remount(place, "rw")
