"""Directories under a monitor that runs: what is removed, replaced or unmounted is told."""

import shutil
import threading
from contextlib import closing

import pytest

from monitor.config import ClipsConfig, Config, LabelConfig
from monitor.daemon.control_socket import FILE as SOCKET
from monitor.daemon.control_socket import ControlSocket, ask
from monitor.outputs.archive import open_archive
from monitor.outputs.fan_out import FanOut
from monitor.outputs.mqtt.durable_queue import DurableQueue, QueueLimits
from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.outputs.store import FILE, StoreReader
from monitor.system.directories import Directories
from monitor.system.threads import ThreadGroup
from monitor.system.wall_clock import WallClock
from tests.support.broker import eventually
from tests.support.clip_events import GEOMETRY, event, ring, window
from tests.support.events import ended
from tests.support.queued_messages import queued
from tests.support.small_disk import fill, remount, small_disk
from tests.support.stored_events import FOR_EVER, storing
from tests.support.stored_events import event as kept_event

DOG = LabelConfig(id="dog", prompts=("a dog barking",))


@pytest.fixture
def state(tmp_path):
    place = tmp_path / "state"
    place.mkdir()
    return place


def watched(place, **options):
    changed = []
    return Directories({"state": (place, 0o700)}, on_changed=changed.append, **options), changed


def test_one_that_stays_is_no_news(state):
    directories, changed = watched(state)
    directories.check()
    assert (directories.trouble, changed, list(state.iterdir())) == ({"state": None}, [], [])


def test_one_that_was_removed_is_told_made_again_and_then_well(state, caplog):
    directories, changed = watched(state)
    shutil.rmtree(state)
    directories.check()
    assert directories.trouble["state"] == "was removed while the monitor ran, and is made again"
    assert (changed, state.stat().st_mode & 0o777) == (["state"], 0o700)
    directories.check()
    assert (directories.trouble, changed) == ({"state": None}, ["state"])
    assert caplog.text.count("was removed") == 1


def test_one_that_cannot_be_made_again_is_told_as_long(tmp_path):
    place = tmp_path / "above" / "state"
    place.mkdir(parents=True)
    directories, _ = watched(place)
    shutil.rmtree(tmp_path / "above")
    (tmp_path / "above").write_text("")
    for _ in range(2):
        directories.check()
        assert "is missing, and cannot be made again" in directories.trouble["state"]
    (tmp_path / "above").unlink()
    directories.check()
    assert "is made again" in directories.trouble["state"]


def test_one_that_was_replaced_is_told_and_taken(state):
    directories, changed = watched(state)
    state.rename(state.with_name("old"))
    state.mkdir()
    directories.check()
    assert directories.trouble["state"] == "was replaced while the monitor ran"
    directories.check()
    assert (directories.trouble["state"], changed) == (None, ["state"])


@pytest.mark.root
def test_a_mount_that_goes_is_told_until_it_is_back(state):
    with small_disk(state):
        directories, changed = watched(state)
    for _ in range(3):
        directories.check()
        assert "has a mount gone?" in directories.trouble["state"]
    assert changed == ["state"]


@pytest.mark.root
def test_one_that_became_read_only_or_full_is_told_until_it_can_be_written(state):
    with small_disk(state, "16k"):
        directories, _ = watched(state)
        remount(state, "ro")
        directories.check()
        assert directories.trouble["state"] == "cannot be written: Read-only file system"
        remount(state, "rw")
        filler = fill(state)
        directories.check()
        assert directories.trouble["state"] == "cannot be written: No space left on device"
        filler.unlink()
        directories.check()
        assert directories.trouble["state"] is None


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_the_store_goes_on_in_a_new_file(state, how, caplog):
    path = state / FILE
    with storing(path, retry_seconds=0.05) as store:
        store.on_event(kept_event(id="BEFORE"), DOG)
        eventually(lambda: not store.waiting)
        shutil.rmtree(state) if how == "removed" else state.rename(state.with_name("old"))
        store.on_event(kept_event(id="AFTER"), DOG)
        eventually(lambda: not store.waiting)
        with closing(StoreReader(path)) as reader:
            assert reader.event("AFTER") is not None
    assert caplog.text.count("was removed or replaced") == 1


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_what_waits_for_the_broker_goes_into_a_new_file(state, how, caplog):
    path = state / "outbox.sqlite"
    with closing(QueueFile(path)) as queue_file:
        queue_file.write([queued(1, phase="end")], [])
    with DurableQueue(
        path, size=10, limits=QueueLimits(bytes=10**6, seconds=1e9), now=lambda: 0.0
    ) as backlog:
        backlog.add([queued(1, phase="end")])
        assert [each.number for each in backlog.take(1)] == [0]
        shutil.rmtree(state) if how == "removed" else state.rename(state.with_name("old"))
        backlog.add([queued(2, phase="end")])
        assert (backlog.waiting, backlog.dropped) == (3, 0)
        backlog.remove([0])
        assert [each.number for each in backlog.take(9)] == [1, 2]
    with closing(QueueFile(path)) as queue_file:
        assert queue_file.count == 2
    assert caplog.text.count("was removed or replaced") == 1


@pytest.mark.parametrize("how", ["removed", "replaced", "socket"])
def test_the_control_socket_listens_anew(state, how):
    control = ControlSocket(state, {"status": lambda _: [{"well": True}]})
    assert control.open()
    threads = ThreadGroup(threading.Event())
    for number in range(2):
        threads.start(str(number), control.run)
    control.recheck()
    assert list(ask(state, {"command": "status"})) == [{"well": True}]
    if how == "socket":
        (state / SOCKET).unlink()
    else:
        shutil.rmtree(state) if how == "removed" else state.rename(state.with_name("old"))
        state.mkdir()
    control.recheck()
    for _ in range(5):
        assert list(ask(state, {"command": "status"})) == [{"well": True}]
    control.close()
    threads.join(30)


def test_clips_go_on_in_a_directory_that_was_removed(tmp_path):
    config = Config(
        store=FOR_EVER,
        clips=ClipsConfig(enabled=True, free_megabytes=0, keep_days=36_500),
        state=tmp_path / "state",
        recordings=tmp_path / "recordings",
    )
    archive = open_archive(
        config, clock=WallClock(config.state), buffers={"mic": ring()}, mel_config=GEOMETRY, model="starter"
    )
    fan_out = FanOut(archive.outputs, archive.record, {})
    threads = ThreadGroup(threading.Event())
    fan_out.start(threads)
    try:
        for i in range(20):
            fan_out.on_scores(window(i))
        eventually((tmp_path / "recordings").is_dir)
        shutil.rmtree(tmp_path / "recordings")
        fan_out.on_event(event(), DOG)
        fan_out.on_event(ended(event()), DOG)
        eventually(lambda: archive.recorder.outcomes["kept"])
        archive.on_directory_changed("recordings")
        assert [clip.event_id for clip in archive.library.clips] == [event().id]
    finally:
        fan_out.close()
        threads.join(30)
