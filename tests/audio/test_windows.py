"""Windows: equal to slices of the whole recording, at the live edge, never across a gap."""

import threading
from dataclasses import replace

import pytest

from monitor.audio.ring_buffer import RingBuffer
from monitor.audio.source_status import SourceStatus
from monitor.audio.windows import Windows
from monitor.types import AudioBlock, Break, OfflineReason, Window
from tests.support.ramps import RATE, blocks_of, ramp


class Bench:
    """Windows over sources that are fed by hand."""

    def __init__(self, *names, length=8, hop=4, capacity=64, lossless=False, at_once=None):
        due = threading.Condition()
        self.stop = threading.Event()
        self.status = {name: SourceStatus(name) for name in names}
        self.buffers = {name: RingBuffer(capacity, RATE, due=due, lossless=lossless) for name in names}
        self.steps = iter(
            Windows(self.buffers, self.status, length=length, hop=hop, stop=self.stop, at_once=at_once)
        )

    def rest(self):
        """Close every source and return all that is still due."""
        for buffer in self.buffers.values():
            buffer.close()
        return [at for step in self.steps for at in step]


def windows_while_fed(size, audio, **options):
    bench = Bench("mic", **options)
    buffer, due, got = bench.buffers["mic"], 8, []
    for block in blocks_of(audio, size):
        buffer.append(block)
        while buffer.stop >= due:
            got += next(bench.steps)
            due += 4
    return bench, got


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_windows_equal_slices_of_the_whole_recording(size):
    audio = ramp(43)
    _, got = windows_while_fed(size, audio)
    assert [window.start for window in got] == list(range(0, 33, 4))
    for window in got:
        assert window.samples.tolist() == audio[window.start : window.stop].tolist()
        assert window.ended_at == 100 + window.stop / RATE


def test_the_end_of_a_source_is_a_break_and_then_the_iteration_ends():
    bench, _ = windows_while_fed(4, ramp(10))
    assert bench.rest() == [Break("mic", 10, 102.5, "end")]


def test_a_source_that_never_delivered_ends_too():
    assert Bench("mic").rest() == [Break("mic", 0, 0.0, "end")]


def test_a_late_reader_jumps_to_the_newest_window_and_counts():
    bench = Bench("mic")
    for block in blocks_of(ramp(23), 1):
        bench.buffers["mic"].append(block)
    windows = [at.start for at in bench.rest() if isinstance(at, Window)]
    assert windows == [12]
    assert bench.status["mic"].late == 3


def test_several_short_hops_in_one_block_are_not_lateness():
    bench = Bench("mic", length=4, hop=1)
    for block in blocks_of(ramp(5), 5):
        bench.buffers["mic"].append(block)
    assert [at.start for at in bench.rest() if isinstance(at, Window)] == [0, 1]
    assert bench.status["mic"].late == 0


def test_a_reader_whose_audio_was_overwritten_loses_windows_but_gets_no_wrong_audio():
    bench = Bench("mic", capacity=16)
    for block in blocks_of(ramp(120), 10):
        bench.buffers["mic"].append(block)
    (window,) = [at for at in bench.rest() if isinstance(at, Window)]
    assert window.samples.tolist() == list(range(window.start, window.stop))


def test_no_window_crosses_a_gap_and_the_count_starts_again_behind_it():
    bench, got = windows_while_fed(4, ramp(8))
    for block in list(blocks_of(ramp(40), 2, gap_at=14))[4:]:
        bench.buffers["mic"].append(block)
        if block.stop >= 22:
            got += next(bench.steps)
        if block.stop == 22:
            break
    got += next(bench.steps)
    assert [(at.index, at.reason) for at in got if isinstance(at, Break)] == [(14, "gap")]
    assert [(at.start, at.stop) for at in got if isinstance(at, Window)] == [(0, 8), (14, 22)]
    assert bench.status["mic"].gated == {"gap": 1}


def test_a_offline_source_is_broken_at_once_and_only_once():
    bench, _ = windows_while_fed(4, ramp(10))
    bench.status["mic"].set_offline(OfflineReason.NOT_FOUND, "unplugged")
    assert next(bench.steps) == [Break("mic", 10, 102.5, "gap")]
    bench.buffers["mic"].append(AudioBlock("mic", 10, ramp(8), ended_at=200.0, gap=True))
    bench.status["mic"].set_online()
    (window,) = [at for at in bench.rest() if isinstance(at, Window)]
    assert (window.start, window.stop, window.ended_at) == (10, 18, 200.0)


def test_of_many_that_are_due_together_a_step_has_a_few_and_the_sources_take_turns():
    names = ["a", "b", "c", "d", "e"]
    bench = Bench(*names, at_once=2)
    for block in blocks_of(ramp(12), 12):
        for name in names:
            bench.buffers[name].append(replace(block, source=name))
    steps = [[window.source for window in next(bench.steps)] for _ in range(5)]
    assert steps == [["a", "b"], ["c", "d"], ["e", "a"], ["b", "c"], ["d", "e"]]


def test_sources_that_are_due_together_come_together_and_one_may_end_first():
    bench = Bench("porch", "nursery")
    for name in ("porch", "nursery"):
        for block in blocks_of(ramp(8), 8):
            bench.buffers[name].append(block)
    assert [window.source for window in next(bench.steps)] == ["porch", "nursery"]
    bench.buffers["porch"].close()
    assert next(bench.steps) == [Break("porch", 8, 102.0, "end")]
    bench.buffers["nursery"].append(AudioBlock("nursery", 8, ramp(4), 103.0))
    assert [window.source for window in next(bench.steps)] == ["nursery"]


def test_a_lossless_replay_leaves_out_nothing_however_slow_the_reader():
    bench = Bench("file", capacity=16, lossless=True)
    buffer = bench.buffers["file"]

    def feed():
        for block in blocks_of(ramp(403), 5):
            buffer.append(block)
        buffer.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    windows = [at for step in bench.steps for at in step if isinstance(at, Window)]
    feeder.join(60)
    assert [window.start for window in windows] == list(range(0, 396, 4))
    assert all(window.samples.tolist() == list(range(window.start, window.stop)) for window in windows)
    assert bench.status["file"].late == 0


def test_stop_ends_the_iteration_though_windows_are_due():
    bench = Bench("mic")
    for block in blocks_of(ramp(32), 8):
        bench.buffers["mic"].append(block)
    bench.stop.set()
    assert list(bench.steps) == []


def test_while_nothing_is_due_empty_steps_let_changes_apply_without_audio():
    bench = Bench("mic")
    assert next(iter(bench.steps)) == ()


def test_each_source_may_have_a_hop_of_its_own():
    due = threading.Condition()
    buffers = {name: RingBuffer(100, RATE, due=due, lossless=True) for name in ("slow", "quick")}
    status = {name: SourceStatus(name) for name in buffers}
    for name, buffer in buffers.items():
        for block in blocks_of(ramp(20), 5):
            buffer.append(replace(block, source=name))
        buffer.close()
    windows = Windows(buffers, status, length=8, hop={"slow": 6, "quick": 3}, stop=threading.Event())
    starts = {"slow": [], "quick": []}
    for step in windows:
        for at in step:
            if isinstance(at, Window):
                starts[at.source].append(at.start)
    assert starts == {"slow": [0, 6, 12], "quick": [0, 3, 6, 9, 12]}


def test_when_all_are_late_sources_take_turns_with_their_newest_windows():
    names = [f"room{number}" for number in range(10)]
    bench = Bench(*names)
    for name in names:
        for block in blocks_of(ramp(43), 1):
            bench.buffers[name].append(AudioBlock(name, block.start, block.samples, block.ended_at))
    first = next(bench.steps)
    assert [window.source for window in first] == names
    assert {window.stop for window in first} == {40}
    assert {status.late for status in bench.status.values()} == {8}
