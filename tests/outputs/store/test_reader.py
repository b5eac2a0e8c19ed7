"""Reader of the store: events by time, place, name, mark and score, page after page."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import LabelConfig
from monitor.detection.near_misses import MissReason
from monitor.outputs.live.listening import Listen, ListenEnd
from monitor.outputs.store import EventFilter, MissFilter, StoreError, StoreReader
from monitor.outputs.store.rows import MAX_ROWS, StoredListen
from tests.support.events import label_of
from tests.support.stored_events import NOON, event, kept, miss, start_of, storing, window

ONE = event(NOON, id="ONE")
TWO = event(NOON + 10, id="TWO", label="cat", peak_score=0.9)
THREE = event(NOON + 20, id="THREE", source="porch", peak_score=0.6)


@pytest.fixture
def reader(path):
    return kept(
        path, ONE, TWO, THREE, labels=[LabelConfig(id="cat", name="Angry Kitten", prompts=("a cat",))]
    )


def found(reader, **wanted):
    return [each.event_id for each in reader.events(EventFilter(**wanted)).rows]


def test_an_event_comes_back_as_it_was(reader):
    over = reader.event("ONE")
    assert (over.source, over.label, over.started_at, over.ended_at) == ("mic", "dog", NOON, NOON + 4)
    assert (over.score, over.peak_score, over.windows, over.level_dbfs) == (0.7, 0.8, 2, -18.2)
    assert (over.uncertainty_seconds, over.reason, over.late) == (1.0, "quiet", False)
    assert (over.clip, over.clip_outcome, over.review) == (None, None, None)
    assert reader.event("NONE") is None


def test_an_unusual_sound_keeps_the_sentences_that_describe_it(path):
    strange = event(NOON, id="STRANGE", label="unusual", like=("glass breaking", "a door"))
    reader = kept(path, start_of(strange), strange, ONE)
    assert reader.event("STRANGE").like == ("glass breaking", "a door")
    assert reader.event("ONE").like == ()


def test_an_event_that_lasts_is_there_from_its_start_and_once(path):
    assert kept(path, start_of(ONE)).event("ONE").ended_at is None
    with storing(path) as store:
        store.on_event(ONE, label_of("dog"))
    assert [each.ended_at for each in StoreReader(path).events().rows] == [NOON + 4]


def test_an_event_during_which_the_monitor_was_killed_is_over_at_the_next_start(path):
    reader = kept(path, start_of(ONE))
    kept(path)
    assert (reader.event("ONE").ended_at, reader.event("ONE").reason) == (None, "restart")


def test_who_listened_comes_back_newest_first_and_is_no_event(path):
    first = Listen("01A", "mic", "192.168.1.7", NOON)
    second = Listen("01B", "porch", "fd00::/64", NOON + 9)
    with storing(path) as store:
        for each in (first, second):
            store.on_listen(each, 1)
        ended = replace(first, ended_at=NOON + 20.5, reason=ListenEnd.TIME_LIMIT, lost_seconds=1.5)
        store.on_listen(ended, 0)
    reader = StoreReader(path)
    assert [(each.id, each.reason) for each in reader.listens()] == [("01B", None), ("01A", "time_limit")]
    assert reader.listens()[1] == StoredListen(
        "01A", "mic", "192.168.1.7", NOON, NOON + 20.5, "time_limit", 1.5
    )
    assert [each.id for each in reader.listens(limit=1)] == ["01B"]
    assert reader.events().rows == ()
    kept(path)  # the monitor starts again
    assert (reader.listens()[0].ended_at, reader.listens()[0].reason) == (None, "restart")


def test_a_source_without_events_has_no_event_that_was_marked(reader):
    assert found(reader, sources=("attic",), review="right") == []
    assert found(reader, sources=("attic",)) == []


def test_the_newest_comes_first(reader):
    assert found(reader) == ["THREE", "TWO", "ONE"]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({"since": NOON + 10}, ["THREE", "TWO"]),
        ({"until": NOON + 10}, ["ONE"]),
        ({"sources": ("porch",)}, ["THREE"]),
        ({"labels": ("dog",)}, ["THREE", "ONE"]),
        ({"labels": ("dog",), "sources": ("mic",)}, ["ONE"]),
        ({"labels": ("bird",)}, []),
        ({"min_score": 0.8}, ["TWO", "ONE"]),
        ({"text": "kitten"}, ["TWO"]),
        ({"text": "MIC dog"}, ["ONE"]),
        ({"text": "%"}, []),
        ({"text": "' OR 1=1 --"}, []),
        ({"review": "none"}, ["THREE", "TWO", "ONE"]),
        ({"review": "right"}, []),
        ({"with_clip": True}, []),
    ],
)
def test_events_are_filtered(reader, wanted, ids):
    assert found(reader, **wanted) == ids


def test_marks_are_set_and_taken_back(path, reader):
    with storing(path) as store:
        assert store.review("ONE", "right").result(30)
        assert store.review("TWO", "wrong").result(30)
        assert not store.review("NONE", "right").result(30)
        assert (found(reader, review="right"), found(reader, review="wrong")) == (["ONE"], ["TWO"])
        assert found(reader, review="wrong", labels=("cat",)) == ["TWO"]
        assert found(reader, review="none") == ["THREE"]
        assert store.review("ONE", None).result(30)
        assert found(reader, review="right") == []


def test_a_deleted_event_takes_its_clip_along(path, reader):
    removed = []
    with storing(path, remove_clip=removed.append) as store:
        store.on_clip_outcome("ONE", "2026/one.flac", "kept")
        assert store.delete("ONE").result(30)
        assert not store.delete("ONE").result(30)
    assert removed == ["2026/one.flac"]
    assert found(reader) == ["THREE", "TWO"]


def test_a_clip_that_comes_after_its_event_was_deleted_goes_too(path):
    kept(path, ONE)
    removed = []
    with storing(path, remove_clip=removed.append) as store:
        assert store.delete("ONE").result(30)
        store.on_clip_outcome("ONE", "2026/one.flac", "kept")
    assert removed == ["2026/one.flac"]


def test_what_became_of_a_clip_stands_at_its_event(path, reader):
    with storing(path) as store:
        store.on_clip_outcome("ONE", "2026/one.flac", "kept")
        store.on_clip_outcome("TWO", None, "speech")
    assert [(e.clip, e.clip_outcome) for e in reader.events().rows] == [
        (None, None),
        (None, "speech"),
        ("2026/one.flac", "kept"),
    ]
    assert found(reader, with_clip=True) == ["ONE"]


@settings(max_examples=25, deadline=None)
@given(
    times=st.lists(st.integers(0, 6), max_size=30),
    labels=st.lists(st.sampled_from(["dog", "cat", "bird"]), min_size=30, max_size=30),
    limit=st.integers(1, 7),
    wanted=st.sampled_from([(), ("dog",), ("dog", "cat")]),
)
def test_pages_give_everything_once_whatever_their_size(tmp_path_factory, times, labels, limit, wanted):
    path = tmp_path_factory.mktemp("pages") / "history.sqlite"
    events = [event(NOON + at, label=label) for at, label in zip(times, labels, strict=False)]
    reader = kept(path, *events)
    filter_ = EventFilter(labels=wanted)
    rows, after = [], None
    while True:
        page = reader.events(filter_, after=after, limit=limit)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.next
        if after is None:
            break
    chosen = [each.id for each in events if not wanted or each.label in wanted]
    assert sorted(each.event_id for each in rows) == sorted(chosen)
    assert [each.started_at for each in rows] == sorted((each.started_at for each in rows), reverse=True)


def test_a_page_is_never_longer_than_it_may_be(path):
    reader = kept(path, *(event(NOON + i) for i in range(MAX_ROWS + 5)))
    assert len(reader.events(limit=10**9).rows) == MAX_ROWS
    assert len(reader.events(limit=-1).rows) == 1


@pytest.mark.parametrize("after", ["", "x", "1-2-3", "1' OR 1=1", "-1-1", "9" * 40 + "-1"])
def test_what_is_no_place_in_a_list_is_refused(reader, after):
    with pytest.raises(ValueError, match="is not the `next` value of a page"):
        reader.events(after=after)
    with pytest.raises(ValueError, match="is not the `next` value of a page"):
        reader.misses(after=after)


def test_near_misses_come_back_with_their_reason(path):
    reader = kept(
        path,
        miss(NOON),
        miss(NOON + 1, label="cat", reason=MissReason.CONFUSABLE),
        miss(NOON + 2, source="porch", reason=MissReason.COOLDOWN),
    )
    first = reader.misses().rows[-1]
    assert (first.source, first.label, first.peak_at, first.duration_seconds) == ("mic", "dog", NOON, 3.0)
    assert (first.peak_score, first.threshold, first.windows_needed) == (0.4, 0.5, 2)
    assert first.reason == "below_threshold"
    assert first.level_dbfs is None
    assert [each.reason for each in reader.misses(MissFilter(sources=("mic",))).rows] == [
        "confusable",
        "below_threshold",
    ]
    assert [each.label for each in reader.misses(MissFilter(reasons=("cooldown", "confusable"))).rows] == [
        "dog",
        "cat",
    ]
    page = reader.misses(limit=2)
    assert [each.peak_at for each in reader.misses(limit=2, after=page.next).rows] == [NOON]
    assert reader.misses(MissFilter(since=NOON + 3)).rows == ()


def test_a_day_shows_the_events_and_each_minute_of_each_label(path):
    reader = kept(
        path,
        ONE,
        THREE,
        window(NOON + 1, 0.2, 0.3, level_dbfs=-40.0),
        window(NOON + 59, 0.4, 0.1, level_dbfs=-20.0),
        window(NOON + 120, 0.9, 0.0, level_dbfs=float("-inf")),
    )
    day = reader.day(NOON, NOON + 180)
    lanes = {(lane.source, lane.label): (lane.events, lane.peaks) for lane in day.lanes}
    assert lanes == {
        ("mic", "dog"): (1, (0.4, 0.0, 0.9)),
        ("mic", "cat"): (0, (0.3, 0.0, 0.0)),
        ("porch", "dog"): (1, (0.0, 0.0, 0.0)),
    }
    assert day.levels == {"mic": (-20.0, None, None)}
    assert [each.event_id for each in day.events] == ["THREE", "ONE"]
    assert not day.more


@pytest.mark.parametrize("until", [NOON - 1, NOON + 9 * 86_400])
def test_a_day_may_not_be_a_year(reader, until):
    with pytest.raises(ValueError, match="0 to 8 days apart"):
        reader.day(NOON, until)
    with pytest.raises(ValueError, match="0 to 8 days apart"):
        reader.at_thresholds("dog", since=NOON, until=until)


def test_another_threshold_would_have_given_another_number_of_events(path):
    votes = {"dog": (1, 1)}
    minutes = [0.9, 0.3, 0.9, 0.9, 0.5, 0.0, 0.7]
    windows = [window(NOON + 60 * i, value) for i, value in enumerate(minutes)]
    reader = kept(path, *windows, votes=votes)
    counts = reader.at_thresholds("dog", since=NOON, until=NOON + 600)
    assert len(counts) == 101
    assert [counts[i] for i in (10, 30, 40, 50, 51, 70, 71, 90, 91, 100)] == [2, 2, 3, 3, 3, 3, 2, 2, 0, 0]
    assert reader.at_thresholds("dog", since=NOON + 61, until=NOON + 119)[30] == 1
    assert set(reader.at_thresholds("bird", since=NOON, until=NOON + 600)) == {0}
    assert set(reader.at_thresholds("dog", source="porch", since=NOON, until=NOON + 600)) == {0}


def test_before_anything_was_kept_that_is_said(path):
    with pytest.raises(StoreError, match="nothing is stored yet"):
        StoreReader(path).events()


def test_readers_in_many_threads_see_what_is_written_meanwhile(path):
    reader = kept(path, ONE)
    seen, failed = [], []

    def read():
        try:
            seen.extend(len(reader.events().rows) for _ in range(50))
        except StoreError as error:
            failed.append(error)

    with storing(path) as store:
        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for i in range(50):
            store.on_event(event(NOON + 100 + i), label_of("dog"))
        for thread in threads:
            thread.join()
    assert not failed
    assert set(seen) <= set(range(1, 52))
    assert len(reader.events(limit=100).rows) == 51
    reader.close()
