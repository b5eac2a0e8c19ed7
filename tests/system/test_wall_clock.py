"""The clock that decides what is too old: believed at once only if it agrees with what was known before."""

import time
from contextlib import closing

import pytest

from monitor.config import ClipsConfig, StoreConfig
from monitor.detection.event_machine import ulid
from monitor.outputs.clips import ClipLibrary, clip_path, metadata
from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.outputs.store import StoreReader
from monitor.outputs.store.database import open_for_writing
from monitor.outputs.store.retention import Retention, newest
from monitor.system.wall_clock import (
    FILE,
    SETTLE_SECONDS,
    SETTLE_UNSET_SECONDS,
    WallClock,
)
from tests.support.clip_events import DOG, PLENTY, event
from tests.support.events import ended
from tests.support.queued_messages import queued
from tests.support.stored_events import event as kept_event
from tests.support.stored_events import kept, miss, window

NOW = 1_795_435_200.0
DAY = 86_400.0
YEARS = 5 * 365 * DAY


class Machine:
    """A machine whose clock can be set while time passes."""

    def __init__(self, at=NOW, *, is_set=True):
        self.at, self.passed, self.is_set = at, 0.0, is_set

    def clock(self, state=None):
        return WallClock(state, now=lambda: self.at, passed=lambda: self.passed, is_set=lambda: self.is_set)

    def wait(self, seconds):
        self.at += seconds
        self.passed += seconds


def test_where_nothing_was_kept_before_the_clock_is_believed():
    assert Machine().clock().may_delete()


@pytest.mark.parametrize("off", [-YEARS, -2 * DAY, 2 * DAY, YEARS])
@pytest.mark.parametrize(("is_set", "wait"), [(True, SETTLE_SECONDS), (False, SETTLE_UNSET_SECONDS)])
def test_a_clock_far_from_what_was_kept_last_is_believed_only_after_a_while(off, is_set, wait, caplog):
    machine = Machine(NOW + off, is_set=is_set)
    clock = machine.clock()
    clock.learn(NOW)
    for _ in range(10):
        assert not clock.may_delete()
    machine.wait(wait - 1)
    assert not clock.may_delete()
    machine.wait(2)
    assert clock.may_delete()
    assert caplog.text.count("nothing is deleted by age") == 1


@pytest.mark.parametrize("off", [-DAY / 2, 0.0, DAY / 2])
def test_a_clock_near_to_it_is_believed_at_once(off):
    clock = Machine(NOW + off, is_set=False).clock()
    clock.learn(NOW)
    assert clock.may_delete()


@pytest.mark.parametrize("jump", [-YEARS, -3600.0, 3600.0, YEARS])
def test_after_a_jump_nothing_is_deleted_for_a_while(jump, caplog):
    machine = Machine()
    clock = machine.clock()
    assert clock.may_delete()
    machine.at += jump
    assert not clock.may_delete()
    machine.wait(SETTLE_SECONDS + 1)
    assert clock.may_delete()
    assert caplog.text.count("jumped by") == 1


def test_time_that_the_machine_slept_or_was_slewed_is_no_jump():
    machine = Machine()
    clock = machine.clock()
    assert clock.may_delete()
    machine.wait(40 * DAY)
    machine.at += 30
    assert clock.may_delete()


def test_what_was_kept_by_a_wrong_clock_does_not_make_it_right_at_the_next_start(tmp_path):
    assert Machine().clock(tmp_path).may_delete()
    wrong = Machine(NOW + YEARS, is_set=False)
    clock = wrong.clock(tmp_path)
    clock.learn(NOW)
    assert not clock.may_delete()
    clock = wrong.clock(tmp_path)
    clock.learn(NOW + YEARS)
    assert not clock.may_delete()
    assert Machine(NOW + 3600).clock(tmp_path).may_delete()


def test_what_one_part_kept_counts_also_if_another_that_kept_nothing_asked_before(tmp_path):
    clock = Machine(NOW + YEARS).clock(tmp_path)
    assert clock.may_delete()
    clock.learn(NOW)
    assert not clock.may_delete()
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("content", ["", "[]", '{"trusted_at": "x"}', '{"trusted_at": 1e999}', "[" * 100_000])
def test_a_damaged_note_of_the_clock_stops_nothing(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    clock = Machine().clock(tmp_path)
    clock.learn(NOW - YEARS)
    assert not clock.may_delete()


def test_without_a_state_directory_nothing_is_noted_and_nothing_stops(tmp_path):
    assert Machine().clock(tmp_path / "none").may_delete()
    assert not (tmp_path / "none").exists()


def test_the_clock_of_this_machine_is_near_the_wall_clock():
    assert abs(WallClock().now() - time.time()) < 60


def clips(library, *ages):
    for age in ages:
        at = NOW - age * DAY
        done = ended(event(at=at, id=ulid(at)))
        assert library.put(
            done, clip_path(done), {".png": b"p", ".flac": b"f"}, metadata.describe(done, {}, DOG, "starter")
        )


def library_of(directory, clock):
    config = ClipsConfig(enabled=True, keep_days=30, keep_per_label=0)
    return ClipLibrary(directory, config, free=lambda _: PLENTY, clock=clock)


@pytest.mark.parametrize("off", [YEARS, -YEARS])
def test_a_start_with_a_wrong_clock_deletes_no_clip_and_the_next_only_old_ones(tmp_path, off):
    clips(library_of(tmp_path, Machine(NOW - 50 * DAY).clock()), 40, 20, 10, 0.5)
    wrong = Machine(NOW + off)
    library = library_of(tmp_path, wrong.clock())
    for _ in range(3):
        library.scan()
        clips(library, -off / DAY)  # it goes on recording
        wrong.wait(60)
    assert len(library.clips) >= 5
    assert not library.deleted
    machine = Machine()
    right = library_of(tmp_path, machine.clock())
    right.scan()
    machine.wait(SETTLE_SECONDS + 1)
    right.scan()
    left = [round((NOW - clip.at) / DAY, 1) for clip in right.clips]
    assert left == [20, 10, 0.5, *[-YEARS / DAY] * 3 * (off > 0)]


@pytest.mark.parametrize("off", [YEARS, -YEARS])
def test_one_start_with_a_wrong_clock_deletes_nothing_of_the_store(tmp_path, off):
    path = tmp_path / "history.sqlite"
    for age in (400, 40, 1, 0):
        kept(path, kept_event(NOW - age * DAY), miss(NOW - age * DAY), window(NOW - age * DAY, 0.5))
    kept(path, kept_event(NOW + YEARS, id="FUTURE"))
    machine = Machine(NOW + off)
    clock = machine.clock()
    with closing(open_for_writing(path)) as connection:
        assert newest(connection) == NOW + YEARS
        clock.learn(NOW)
        retention = Retention(StoreConfig(), clock)
        retention.apply(connection)
        assert len(StoreReader(path).events().rows) == 5
        right = Machine()
        clock = right.clock()
        clock.learn(NOW)
        Retention(StoreConfig(), clock).apply(connection)
    reader = StoreReader(path)
    assert reader.events().rows[0].event_id == "FUTURE"
    assert len(reader.events().rows) == 4
    assert [each.peak_at for each in reader.misses().rows] == [NOW, NOW - DAY]
    assert [each.started_at for each in reader.day(NOW - DAY, NOW + 1).events] == [NOW, NOW - DAY]


@pytest.mark.parametrize("off", [YEARS, -YEARS])
def test_one_start_with_a_wrong_clock_drops_nothing_that_waits_for_the_broker(tmp_path, off):
    path = tmp_path / "outbox.sqlite"
    with closing(QueueFile(path)) as queue_file:
        queue_file.write(
            [queued(1, phase="end", queued_at=NOW - 10 * DAY), queued(2, phase="end", queued_at=NOW)], []
        )

    def waiting(machine):
        with DurableQueue(
            path,
            size=10,
            limits=QueueLimits(bytes=10**6, seconds=7 * DAY),
            now=lambda: machine.at,
            clock=machine.clock(),
        ) as durable_queue:
            return durable_queue.waiting, durable_queue.dropped

    assert waiting(Machine(NOW + off)) == (2, 0)
    assert waiting(Machine()) == (1, 1)
