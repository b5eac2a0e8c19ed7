"""Archive: the store and the clips know of each other's changes, and events carry links to their clips."""

import threading
from dataclasses import replace

import pytest

from monitor.config import ClipsConfig, Config, LabelConfig, StoreConfig
from monitor.outputs.archive import open_archive
from monitor.outputs.fan_out import FanOut
from monitor.outputs.store import FILE, StoreReader
from monitor.system.threads import ThreadGroup
from monitor.system.wall_clock import WallClock
from tests.support.broker import eventually
from tests.support.clip_events import GEOMETRY, ID, event, ring, window
from tests.support.events import ended
from tests.support.observer import Observer
from tests.support.stored_events import FOR_EVER

DOG = LabelConfig(id="dog", prompts=("a dog barking",))
PATH = f"2026-11-23/20261123T120003Z_mic_dog_{ID}.flac"


class Archiving:
    """A store and clips whose threads run, as the monitor has them."""

    def __init__(self, directory, *, store=FOR_EVER, **clips):
        config = Config(
            store=store,
            clips=ClipsConfig(**{"enabled": True, "free_megabytes": 0, "keep_days": 36_500} | clips),
            state=directory / "state",
            recordings=directory / "recordings",
        )
        clock = WallClock(config.state)
        self.archive = open_archive(
            config, clock=clock, buffers={"mic": ring()}, mel_config=GEOMETRY, model="starter"
        )
        self.events = []
        observer = Observer(on_event=lambda event, _: self.events.append(event))
        self.fan_out = FanOut({**self.archive.outputs, "observer": observer}, self.archive.record, {})
        self.reader = StoreReader(directory / "state" / FILE)
        self._threads = ThreadGroup(threading.Event())
        self.fan_out.start(self._threads)

    def __enter__(self):
        for i in range(20):
            self.fan_out.on_scores(window(i))
        return self

    def __exit__(self, *_):
        self.fan_out.close()
        self._threads.join(30)
        self.reader.close()

    def happen(self, label=DOG, **changes):
        """Let an event start and end; return its end with the link to its clip."""
        start = event(**changes)
        self.fan_out.on_event(start, label)
        self.fan_out.on_event(ended(start), label)
        assert self.events[-2] == start
        return self.events[-1]


def test_the_end_of_an_event_has_the_path_of_its_clip_and_the_store_has_it_too(tmp_path):
    with Archiving(tmp_path) as archiving:
        assert archiving.happen().clip == PATH
        eventually(lambda: archiving.archive.recorder.outcomes["kept"])
    assert (tmp_path / "recordings" / PATH).exists()
    kept = StoreReader(tmp_path / "state" / FILE).event(ID)
    assert (kept.clip, kept.clip_outcome) == (PATH, "kept")


@pytest.mark.parametrize("url", ["http://house:8095/clips", "http://house:8095/clips/"])
def test_with_a_public_url_it_is_a_link(tmp_path, url):
    with Archiving(tmp_path, public_url=url) as archiving:
        assert archiving.happen().clip == f"http://house:8095/clips/{PATH}"


@pytest.mark.parametrize(
    ("label", "clips"), [(DOG.model_copy(update={"clips": False}), {}), (DOG, {"enabled": False})]
)
def test_what_is_not_to_be_recorded_is_not(tmp_path, label, clips):
    with Archiving(tmp_path, **clips) as archiving:
        assert archiving.happen(label).clip is None
    kept = StoreReader(tmp_path / "state" / FILE).event(ID)
    assert (kept.clip, kept.clip_outcome) == (None, None)
    assert not list(tmp_path.glob("recordings/*/*"))


def test_where_people_speak_the_event_is_kept_and_the_clip_is_not(tmp_path):
    with Archiving(tmp_path) as archiving:
        archiving.fan_out.on_scores(window(20, speech=True))
        archiving.fan_out.on_scores(replace(window(9), speech=True))
        assert archiving.happen().clip is None
    kept = StoreReader(tmp_path / "state" / FILE).event(ID)
    assert (kept.reason, kept.clip, kept.clip_outcome) == ("quiet", None, "speech")
    assert not list(tmp_path.glob("recordings/*/*"))


def test_a_clip_that_had_to_go_is_no_longer_linked(tmp_path):
    with Archiving(tmp_path) as archiving:
        archiving.happen()
        eventually(lambda: archiving.archive.recorder.outcomes["kept"])
    with Archiving(tmp_path, keep_days=0.1, keep_per_label=0):
        pass
    kept = StoreReader(tmp_path / "state" / FILE).event(ID)
    assert (kept.clip, kept.clip_outcome) == (None, "deleted")
    assert not list(tmp_path.glob("recordings/*/*"))


def test_old_clips_go_also_when_no_new_ones_are_wanted(tmp_path):
    with Archiving(tmp_path) as archiving:
        archiving.happen()
        eventually(lambda: archiving.archive.recorder.outcomes["kept"])
    with Archiving(tmp_path, enabled=False, keep_days=0.1, keep_per_label=0) as archiving:
        eventually(lambda: archiving.archive.library.deleted)
    assert not list(tmp_path.glob("recordings/*/*"))


def test_where_no_clips_are_wanted_no_directory_is_made_for_them(tmp_path):
    with Archiving(tmp_path, enabled=False) as archiving:
        archiving.happen()
    assert not (tmp_path / "recordings").exists()


def test_deleting_an_event_deletes_its_clip(tmp_path):
    with Archiving(tmp_path) as archiving:
        archiving.happen()
        eventually(lambda: archiving.archive.recorder.outcomes["kept"])
        assert archiving.archive.store.delete(ID).result(30)
        assert not list(tmp_path.glob("recordings/*/*"))
        assert archiving.reader.event(ID) is None


def test_events_that_a_broken_store_lost_come_back_from_their_clips(tmp_path):
    with Archiving(tmp_path) as archiving:
        archiving.happen()
        eventually(lambda: archiving.archive.recorder.outcomes["kept"])
    (tmp_path / "state" / FILE).write_bytes(b"broken")
    with Archiving(tmp_path):
        pass
    kept = StoreReader(tmp_path / "state" / FILE).event(ID)
    assert (kept.label, kept.peak_score, kept.clip) == ("dog", 0.83, PATH)


def test_without_a_store_there_are_clips_all_the_same(tmp_path):
    with Archiving(tmp_path, store=StoreConfig(enabled=False)) as archiving:
        assert archiving.happen().clip == PATH
    assert (tmp_path / "recordings" / PATH).exists()
    assert not (tmp_path / "state" / FILE).exists()
