import logging
import threading
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from monitor.audio.captured_audio import CapturedAudio
from monitor.audio.digital_silence import LINES
from monitor.audio.source_status import SourceStatus
from monitor.audio.sources.reconnect import WrongRateError, reconnecting
from monitor.audio.sources.source_context import SourceContext
from monitor.types import SourceError

RATE = 4
LOST = SourceError("it has disappeared")
NOTHING = None
UNPLUGGED = [SourceError("there is no microphone")]


class World:
    """A clock, a stop and a device that plays its part: one list of what happens at each opening."""

    def __init__(self, *openings, rate=RATE):
        self.openings = list(openings)
        self.rate = rate
        self.now = 1000.0
        self.waits = []
        self.open = 0
        self.status = SourceStatus("mic")
        self.stop = threading.Event()
        self.stop.wait = self.wait

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    @contextmanager
    def connect(self):
        if not self.openings:
            self.stop.set()
            raise SourceError("the play is over")
        self.script = list(self.openings.pop(0))
        if isinstance(self.script[0], SourceError):
            raise self.script[0]
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    def read(self, seconds):
        if not self.script:
            raise LOST
        happens = self.script.pop(0)
        if happens is NOTHING:
            self.now += seconds
            return None
        if isinstance(happens, SourceError):
            raise happens
        self.now += len(happens.samples) / self.rate
        return replace(happens, rate=happens.rate or self.rate)

    def blocks(self, *, required=False, **options):
        context = SourceContext(RATE, self.status, self.stop, required=required)
        return reconnecting(self.connect, context, now=lambda: self.now, **options)


def take(*values, rate=0, **what):
    return CapturedAudio(np.array(values, dtype=np.float32), rate, ended_at=5.0, **what)


def quiet(seconds):
    return [take(0, 0, 0, 0) for _ in range(seconds)]


def loud(seconds):
    return [take(1, 1, 1, 1) for _ in range(seconds)]


def heard(blocks):
    return [(block.start, block.samples.tolist(), block.gap) for block in blocks]


def test_a_device_that_comes_back_goes_on_with_a_gap():
    world = World([take(1, 2), take(3)], [take(7), take(8, 9)])
    assert heard(world.blocks()) == [(0, [1, 2], False), (2, [3], False), (3, [7], True), (4, [8, 9], False)]
    assert world.status.reopened == 1
    assert world.open == 0


def test_losses_are_counted_and_marked():
    world = World(
        [take(1), take(2, gap=True, lost=6, overflows=1), take(3, lost=2), take(4, overflows=1)], rate=2
    )
    blocks = list(world.blocks())
    assert sum(block.gap for block in blocks) == 1
    assert world.status.lost == 2 * 8  # at the rate of the blocks
    assert world.status.overflows == 2


def test_waits_double_up_to_2_seconds_so_that_the_house_knows_within_5_what_is_back():
    world = World(*[UNPLUGGED] * 8)
    assert heard(world.blocks()) == []
    assert world.waits == [1, 2, 2, 2, 2, 2, 2, 2, 2]
    assert world.status.reopened == 0


def test_a_device_that_is_not_there_at_first_is_heard_without_a_gap_when_it_comes():
    world = World(UNPLUGGED, UNPLUGGED, [take(1), take(2)])
    assert heard(world.blocks()) == [(0, [1], False), (1, [2], False)]
    assert world.status.reopened == 0


def test_a_device_that_somebody_else_has_is_heard_when_he_lets_go(caplog):
    busy = [SourceError("'mic' cannot be opened: Device unavailable [PaErrorCode -9985]")]
    world = World(busy, busy, busy, [take(1)])
    assert heard(world.blocks()) == [(0, [1], False)]
    assert sum("Device unavailable" in line.getMessage() for line in caplog.records) == 1


def test_waits_start_again_after_a_stable_minute():
    world = World(UNPLUGGED, UNPLUGGED, loud(59), loud(60), UNPLUGGED)
    list(world.blocks())
    assert world.waits == [1, 2, 2, 1, 2, 2]


def test_a_device_that_delivers_nothing_for_5_seconds_is_lost():
    world = World([take(1), *[NOTHING] * 9, take(2), *[NOTHING] * 10, take(3)])
    assert heard(world.blocks()) == [(0, [1], False), (1, [2], False)]


def test_trouble_is_seen_while_it_lasts_and_said_once(caplog):
    caplog.set_level(logging.INFO)
    world = World([take(1)], UNPLUGGED, UNPLUGGED, [take(2), take(3)])
    seen = [(block.samples[0], not world.status.offline) for block in world.blocks()]
    assert seen[0] == (1, True)
    assert [line.getMessage() for line in caplog.records] == [
        "source mic is offline: it has disappeared",
        "source mic is online again",
        "source mic is offline: it has disappeared",
    ]
    assert world.status.offline_text == "the play is over"


def test_after_8_seconds_of_digital_silence_the_device_is_reopened_at_once():
    world = World(quiet(40), loud(1))
    blocks = []
    for block in world.blocks():
        blocks.append(block)
        if len(blocks) == 7:
            assert not world.status.offline
    assert len(blocks) == 9
    assert [block.start for block in blocks if block.gap] == [32]
    assert world.waits == [1, 2]  # at the end of the play


def test_a_muted_device_is_offline_and_reopened_less_and_less_often():
    world = World(quiet(999), quiet(999), quiet(999), [*quiet(30), *loud(1), *quiet(7)])
    offline, reopened_at = [], []
    for block in world.blocks():
        offline.append(world.status.offline)
        if block.gap:
            reopened_at.append(len(offline) - 1)
    assert reopened_at == [8, 16, 32]
    assert offline.index(True) == 8
    assert all(offline[8:62])
    assert not any(offline[64:])


def test_a_silent_stream_is_offline_after_8_seconds_and_reconnected_after_5_minutes():
    world = World([*quiet(900)], loud(1))
    offline = []
    for block in world.blocks(reopen_seconds=300):
        offline.append(world.status.offline)
        if block.gap:
            assert len(offline) == 301
    assert offline.index(True) == 8
    assert all(offline[8:300])
    assert world.status.reopened == 1


def test_a_device_that_changes_its_rate_while_it_is_open_is_resampled_from_there_on():
    ones = np.ones(400, dtype=np.float32)
    world = World([take(*ones), take(*ones, *ones, rate=2 * RATE), take(*ones)])
    blocks = list(world.blocks())
    assert blocks[-1].stop == 1200
    assert [block.start for block in blocks if block.gap] == [400, 800]
    assert world.status.reopened == 0


def test_samples_that_are_not_numbers_are_no_silence():
    world = World([take(*[np.nan] * 4) for _ in range(40)])
    list(world.blocks())
    assert world.status.reopened == 0


def test_whoever_needs_the_device_is_told_that_it_is_not_there():
    with pytest.raises(SourceError, match=r"^source mic: there is no microphone$"):
        list(World(UNPLUGGED).blocks(required=True))


def test_whoever_needs_the_device_is_told_that_it_delivers_nothing():
    with pytest.raises(SourceError, match=r"^source mic: it has delivered nothing for 5 s$"):
        list(World([NOTHING] * 99).blocks(required=True))


def test_a_needed_device_that_was_heard_is_waited_for():
    world = World([take(1)], UNPLUGGED, [take(2)])
    assert heard(world.blocks(required=True)) == [(0, [1], False), (1, [2], True)]


def test_stopping_ends_the_blocks_and_closes_the_device():
    world = World([take(1), take(2), take(3)])
    blocks = world.blocks()
    next(blocks)
    assert world.open == 1
    world.stop.set()
    assert heard(blocks) == []
    assert world.open == 0
    assert world.waits == []


def test_leaving_the_blocks_closes_the_device():
    world = World([take(1), take(2)])
    blocks = world.blocks()
    next(blocks)
    blocks.close()
    assert world.open == 0


def test_a_device_that_comes_back_at_another_rate_is_resampled():
    world = World([take(*np.ones(400))] * 2, [take(*np.ones(800))] * 2)
    rates = iter([RATE, 2 * RATE])
    connect = world.connect

    def reconnect():
        world.rate = next(rates, RATE)
        return connect()

    world.connect = reconnect
    blocks = list(world.blocks())
    assert blocks[-1].stop == 1600
    assert [block.start for block in blocks if block.gap] == [800]


def test_who_has_lied_about_the_rate_is_offline_until_it_is_seen_to_tell_the_truth(caplog):
    lie = WrongRateError("it delivers 3 samples a second instead of 4")
    world = World([take(1), lie], [take(2), lie], [take(3), take(4, rate_confirmed=True), take(5)], [take(6)])
    seen = [(block.samples[0], block.gap, world.status.offline_text) for block in world.blocks()]
    assert seen == [(1, False, None), (4, True, str(lie)), (5, False, None), (6, True, str(LOST))]
    assert [line.getMessage() for line in caplog.records][:2] == [
        f"source mic is offline: {lie}",
        "source mic is online again",
    ]


def test_a_source_that_comes_and_goes_fills_no_log_and_its_last_state_is_told(caplog, monkeypatch):
    seconds = [0.0]
    monkeypatch.setattr("monitor.system.trouble_log.time.monotonic", lambda: seconds[0])
    world = World(*([take(0.5)] for _ in range(500)), *(UNPLUGGED for _ in range(5)))

    def wait(waited):
        world.wait(waited)
        if len(world.openings) == 2:
            seconds[0] += 120.0

    world.stop.wait = wait
    list(world.blocks())
    assert len(caplog.records) == 2 * LINES + 1
    assert "no microphone" in caplog.records[-1].getMessage()
    assert "more like it" in caplog.records[-1].getMessage()
