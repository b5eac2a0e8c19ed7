"""The ring: streaming equals slicing, and a late reader never gets wrong audio."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.audio.ring_buffer import OverrunError, RingBuffer
from monitor.types import AudioBlock
from tests.support.broker import eventually
from tests.support.ramps import RATE, blocks_of, ramp


def filled(audio, size, capacity=16, **options):
    buffer = RingBuffer(capacity, RATE)
    for block in blocks_of(audio, size, **options):
        buffer.append(block)
    return buffer


@given(size=st.integers(1, 16), length=st.integers(0, 60))
def test_what_is_held_equals_the_end_of_the_whole_recording(size, length):
    audio = ramp(length)
    buffer = filled(audio, size)
    assert buffer.stop == length
    assert buffer.start == max(0, length - 16)
    assert buffer.read(buffer.start, length).tolist() == audio[buffer.start :].tolist()


@pytest.mark.parametrize(("start", "stop"), [(8, 8), (8, 9), (13, 19), (15, 24), (23, 24)])
def test_any_range_that_is_held_can_be_read(start, stop):
    assert filled(ramp(24), 5).read(start, stop).tolist() == list(range(start, stop))


def test_audio_that_was_overwritten_is_an_overrun_and_audio_to_come_an_error():
    buffer = filled(ramp(20), 4)
    with pytest.raises(OverrunError, match="sample 3 is gone, the oldest is 4"):
        buffer.read(3, 6)
    with pytest.raises(ValueError, match="sample 21 has not arrived yet, the newest is 20"):
        buffer.read(18, 21)


def test_a_lossless_buffer_can_hold_on_to_what_was_released():
    buffer = RingBuffer(16, RATE, lossless=True, behind=6)
    for block in blocks_of(ramp(16), 4):
        buffer.append(block)
    done = threading.Event()

    def more():
        buffer.append(AudioBlock("mic", 16, ramp(4), 1.0))
        done.set()

    thread = threading.Thread(target=more)
    thread.start()
    buffer.release(9)
    assert buffer.start == 0
    buffer.release(10)
    assert done.wait(60)
    thread.join()
    assert buffer.read(4, 10).tolist() == [4, 5, 6, 7, 8, 9]


def test_a_block_that_does_not_continue_is_refused():
    buffer = filled(ramp(4), 4)
    with pytest.raises(ValueError, match="expected sample 4, got 5"):
        buffer.append(AudioBlock("mic", 5, ramp(1), 0.0))


def test_a_block_larger_than_the_ring_is_refused_not_misplaced():
    with pytest.raises(ValueError, match="larger than the buffer"):
        filled(ramp(17), 17)


def test_only_a_gap_strictly_inside_a_range_breaks_it():
    buffer = filled(ramp(12), 4, gap_at=4)
    assert buffer.last_gap(0, 8) == 4
    assert buffer.last_gap(4, 8) is None
    assert buffer.last_gap(0, 4) is None


def test_more_gaps_than_a_fixed_list_could_hold_are_all_remembered():
    buffer = RingBuffer(400, RATE)
    for i in range(300):
        buffer.append(AudioBlock("mic", i, ramp(1), 100.0 + i, gap=True))
    assert buffer.last_gap(0, 2) == 1


def test_time_is_that_of_the_block_so_a_gap_moves_nothing_before_it():
    buffer = RingBuffer(16, RATE)
    buffer.append(AudioBlock("mic", 0, ramp(4), ended_at=101.0))
    buffer.append(AudioBlock("mic", 4, ramp(4), ended_at=161.0, gap=True))
    assert [buffer.time_of(i) for i in (2, 4, 6, 8)] == [100.5, 101.0, 160.5, 161.0]


def test_a_lossless_append_waits_for_its_reader_and_close_lets_it_go():
    buffer = RingBuffer(8, RATE, lossless=True)
    appended = []

    def write():
        for block in blocks_of(ramp(16), 4):
            buffer.append(block)
            appended.append(block.stop)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: buffer.stop == 8)
    assert buffer.read(0, 8).tolist() == list(range(8))
    buffer.release(4)
    eventually(lambda: buffer.stop == 12)
    assert buffer.read(4, 12).tolist() == list(range(4, 12))
    assert appended[:2] == [4, 8]
    buffer.close()
    writer.join(60)
    assert appended == [4, 8, 12, 16]
