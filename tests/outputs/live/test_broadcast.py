"""Any number of watchers: bounded, dropped when they stall, free when there are none."""

import json
import math
import threading
import tracemalloc

import numpy as np
import pytest

from monitor.audio.ring_buffer import RingBuffer
from monitor.model.mel_config import mel_config_of
from monitor.outputs.live.broadcast import MAX_WATCHERS, STALLED, Broadcast, TooManyError
from monitor.types import AudioBlock, Scores
from tests.support.broker import eventually
from tests.support.events import event, label_of

RATE = 8000
GEOMETRY = mel_config_of(
    {
        "sampling_rate": RATE,
        "max_length_s": 4,
        "fft_window_size": 256,
        "hop_length": 80,
        "frequency_max": 4000,
    }
)


@pytest.fixture
def buffer():
    ring = RingBuffer(10 * RATE, RATE)
    ring.append(AudioBlock("crib", 0, np.full(4 * RATE, 0.1, np.float32), 100.0))
    return ring


@pytest.fixture
def live(buffer):
    live = Broadcast({"crib": buffer}, GEOMETRY, ring=8)
    thread = threading.Thread(target=live.run)
    thread.start()
    yield live
    live.close()
    thread.join(120)
    assert not thread.is_alive()


def scores(stop=RATE, level=-20.0, **values):
    values = values or {"dog": 0.25}
    return Scores(
        "crib",
        max(0, stop - RATE),
        stop,
        97.0,
        tuple(values),
        np.array([*values.values()], np.float32),
        level,
    )


def on_event(live, event):
    live.on_event(event, label_of(event.label))


def messages(live, watcher, count):
    """Return so many messages as they come."""
    found = []
    eventually(lambda: found.extend(live.take(watcher)) or len(found) >= count)
    return found


def test_a_watcher_gets_what_comes_after_it_began_in_order(live):
    on_event(live, event(id="early"))
    watcher = live.subscribe(lambda: None)
    live.on_scores(scores())
    on_event(live, event(id="late"))
    found = messages(live, watcher, 2)
    assert [message.kind for message in found] == ["scores", "event"]
    assert json.loads(found[1].text)["event_id"] == "late"


def test_scores_come_with_the_level_and_the_columns_of_their_audio(live):
    watcher = live.subscribe(lambda: None)
    live.on_scores(scores(dog=0.25, cat=0.5))
    live.on_scores(scores(stop=2 * RATE, level=float("-inf")))
    first, second = (json.loads(message.text) for message in messages(live, watcher, 2))
    assert first["scores"] == {"dog": 0.25, "cat": 0.5}
    assert (first["level_dbfs"], second["level_dbfs"]) == (-20.0, None)
    assert first["spectrogram"]["bins"] == 64
    columns = [len(each["spectrogram"]["columns"]) * 3 // 4 // 64 for each in (first, second)]
    assert sum(columns) == (2 * RATE - 128) // 400
    assert second["spectrogram"]["at"] == pytest.approx(96.0 + 400 * columns[0] / RATE, abs=1e-3)


def test_columns_are_made_for_the_sources_that_somebody_looks_at(live):
    elsewhere = live.subscribe(lambda: None, "porch")
    live.on_scores(scores())
    (message,) = messages(live, elsewhere, 1)
    assert json.loads(message.text)["spectrogram"] is None
    here = live.subscribe(lambda: None, "crib")
    live.on_scores(scores(stop=2 * RATE))
    (message,) = messages(live, here, 1)
    assert json.loads(message.text)["spectrogram"]["columns"]


def test_a_stalled_watcher_is_dropped_and_counted_and_the_others_miss_nothing(live):
    woken = threading.Event()
    stalled, reading = live.subscribe(woken.set), live.subscribe(lambda: None)
    for number in range(20):
        on_event(live, event(id=str(number)))
        assert json.loads(messages(live, reading, 1)[0].text)["event_id"] == str(number)
    assert stalled.gone == "slow"
    assert woken.is_set()
    assert (live.dropped, live.watchers, reading.gone) == (1, 1, None)


def test_a_watcher_that_has_left_is_not_woken(live):
    woken = []
    left = live.subscribe(lambda: woken.append(1))
    staying = live.subscribe(lambda: None)
    live.unsubscribe(left)
    on_event(live, event())
    messages(live, staying, 1)
    assert woken == []


def test_who_is_lost_while_far_behind_is_counted_and_who_just_leaves_is_not(buffer):
    live = Broadcast({"crib": buffer}, GEOMETRY)
    leaving, lost = live.subscribe(lambda: None), live.subscribe(lambda: None)
    for _ in range(STALLED + 1):
        on_event(live, event())
    live.close()
    live._outbox.run()
    live.take(leaving)
    live.take(leaving)
    live.unsubscribe(leaving)
    assert live.dropped == 0
    live.unsubscribe(lost)
    assert live.dropped == 1


def test_at_the_end_every_watcher_is_told(buffer):
    live = Broadcast({"crib": buffer}, GEOMETRY)
    watcher = live.subscribe(lambda: None)
    on_event(live, event())
    live.close()
    live.run()
    assert [message.kind for message in live.take(watcher)] == ["event"]
    assert watcher.gone == "end"
    assert live.subscribe(lambda: None).gone == "end"


def test_there_is_a_limit_to_how_many_watch(live):
    for _ in range(MAX_WATCHERS):
        live.subscribe(lambda: None)
    with pytest.raises(TooManyError, match="at most 100 can watch"):
        live.subscribe(lambda: None)


def test_with_nobody_watching_nothing_is_made_and_nothing_kept(buffer):
    live = Broadcast({"crib": buffer}, GEOMETRY)
    window = scores()
    live.on_scores(window)
    tracemalloc.start()
    for _ in range(1000):
        live.on_scores(window)
        on_event(live, event())
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000
    assert live.watchers == live.skipped == 0


def test_a_watcher_that_never_reads_costs_one_ring_however_much_comes(live):
    live.subscribe(lambda: None)
    reading = live.subscribe(lambda: None)
    for _ in range(200):
        on_event(live, event())
        messages(live, reading, 1)
    assert len(live._ring) == 8


def test_audio_that_is_gone_leaves_the_scores_without_a_picture():
    ring = RingBuffer(RATE, RATE)
    for second in range(4):
        ring.append(AudioBlock("crib", second * RATE, np.zeros(RATE, np.float32), second + 1.0))
    live = Broadcast({"crib": ring}, GEOMETRY)
    watcher = live.subscribe(lambda: None)
    live.on_scores(scores())
    live.close()
    live.run()
    assert json.loads(live.take(watcher)[0].text)["spectrogram"] is None


def test_whatever_is_told_is_json_that_can_be_sent(live):
    watcher = live.subscribe(lambda: None)
    live.on_health(
        {},
        lambda: {
            "load": math.nan,
            "sources": {"crib": {"level": -math.inf, "all": [math.inf, 1.0]}},
            "why": "\ud800",
        },
    )
    (message,) = messages(live, watcher, 1)
    told = json.loads(message.text.encode("utf-8"))
    assert told["sources"] == {"crib": {"level": None, "all": [None, 1.0]}}
    assert told["load"] is None
