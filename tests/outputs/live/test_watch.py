import threading

import numpy as np
import pytest

from monitor.audio.ring_buffer import RingBuffer
from monitor.outputs.live import broadcast as live_module
from monitor.outputs.live.broadcast import Broadcast, TooManyError
from monitor.outputs.live.watch import MAX_WATCHERS, WatchFeed
from monitor.types import AudioBlock, Scores
from tests.support.broker import PATIENCE
from tests.support.events import event, label_of
from tests.support.web_server import GEOMETRY, RATE


@pytest.fixture
def live():
    ring = RingBuffer(10 * RATE, RATE)
    ring.append(AudioBlock("porch", 0, np.full(4 * RATE, 0.1, np.float32), 100.0))
    live = Broadcast({"porch": ring}, GEOMETRY, ring=8)
    thread = threading.Thread(target=live.run)
    thread.start()
    yield live
    live.close()
    thread.join(PATIENCE)


def window(stop=RATE):
    values = np.array([0.25], np.float32)
    return Scores("porch", stop - RATE, stop, 97.0, ("dog",), values, -20.0)


def test_first_comes_how_it_goes_and_then_what_is_heard(live):
    lines = WatchFeed(live, lambda: {"node": "home"}).answer({})
    assert next(lines) == {"kind": "status", "node": "home"}
    live.on_scores(window())
    line = next(lines)
    assert (line["kind"], line["source"], line["scores"]) == ("scores", "porch", {"dog": 0.25})
    assert "spectrogram" not in line
    live.on_event(event("dog"), label_of("dog"))
    assert next(lines)["label"] == "dog"
    live.close()
    rest = list(lines)
    assert rest[-1] == {"kind": "end", "why": "end"}
    assert live.watchers == 0


def test_how_it_goes_is_said_again_when_nothing_is_heard(live):
    lines = WatchFeed(live, dict).answer({})
    assert [next(lines)["kind"], next(lines)["kind"]] == ["status", "status"]
    lines.close()


def test_a_watcher_that_does_not_read_is_let_go(live):
    lines = WatchFeed(live, dict).answer({})
    next(lines)
    for number in range(20):
        live.on_event(event("dog", number=number), label_of("dog"))
        while live._outbox.waiting:
            pass
    assert list(lines)[-1] == {"kind": "end", "why": "slow"}


def test_who_leaves_makes_room_and_who_comes_too_many_is_refused(live):
    watching = WatchFeed(live, dict)
    watchers = [watching.answer({}) for _ in range(MAX_WATCHERS)]
    for watcher in watchers:
        next(watcher)
    with pytest.raises(TooManyError, match="4 clients at the control socket are watching already"):
        next(watching.answer({}))
    assert live.watchers == MAX_WATCHERS
    watchers.pop().close()
    assert next(watching.answer({}))["kind"] == "status"
    for watcher in watchers:
        watcher.close()


def test_a_house_full_of_watchers_is_a_refusal(live, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_WATCHERS", 0)
    with pytest.raises(TooManyError, match="can watch"):
        next(WatchFeed(live, dict).answer({}))
