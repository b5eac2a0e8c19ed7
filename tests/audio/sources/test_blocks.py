import math

import numpy as np
import pytest
import soxr

from monitor.audio.sources.blocks import BlockLengths, BlockMaker, block_lengths


def ramp(start, stop):
    return np.arange(start, stop, dtype=np.float32)


def test_positions_count_what_was_made():
    maker = BlockMaker("mic", 4)
    blocks = maker.push(ramp(0, 3), 10.0) + maker.push(ramp(3, 4), 10.25) + maker.push(ramp(4, 8), 11.25)
    assert [(b.source, b.start, b.stop, b.ended_at, b.gap) for b in blocks] == [
        ("mic", 0, 3, 10.0, False),
        ("mic", 3, 4, 10.25, False),
        ("mic", 4, 8, 11.25, False),
    ]
    assert maker.finish() == []


def test_a_gap_is_marked_on_the_block_behind_it_and_on_no_other():
    maker = BlockMaker("mic", 4)
    blocks = maker.push(ramp(0, 2), 1.0) + maker.push(ramp(5, 7), 2.0, gap=True) + maker.push(ramp(7, 8), 3.0)
    assert [(b.start, b.gap) for b in blocks] == [(0, False), (2, True), (4, False)]


def test_there_is_no_gap_before_the_first_block():
    maker = BlockMaker("mic", 4)
    assert maker.begin(4, gap=True) == []
    assert not maker.push(ramp(0, 2), 1.0, gap=True)[0].gap


def test_no_filter_sees_both_sides_of_a_gap():
    maker = BlockMaker("mic", 16000)
    before, after = ramp(0, 4410) / 4410, -ramp(0, 882) / 4410
    blocks = maker.begin(44100, gap=False) + maker.push(before, 1.0) + maker.push(after, 2.0, gap=True)
    blocks += maker.finish()
    gap = next(i for i, block in enumerate(blocks) if block.gap)
    parts = blocks[:gap], blocks[gap:]
    for audio, part in zip((before, after), parts, strict=True):
        got = np.concatenate([block.samples for block in part])
        assert got.tolist() == soxr.resample(audio, 44100, 16000, quality="HQ").tolist()
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]


def test_time_is_that_of_the_last_sample_given_out():
    maker = BlockMaker("mic", 1000)
    maker.begin(2000, gap=False)
    for i in range(20):
        for block in maker.push(np.zeros(100, dtype=np.float32), 5 + (i + 1) * 0.05):
            assert abs(block.ended_at - (5 + block.stop / 1000)) < 2e-3
    (rest,) = maker.finish()
    assert rest.stop == 1000
    assert rest.ended_at == 6.0


def test_numbers_are_converted_to_the_rate_of_the_blocks():
    maker = BlockMaker("mic", 16000)
    maker.begin(48000, gap=False)
    assert maker.at_rate(300) == 100


def test_blocks_do_not_keep_the_array_they_were_cut_from():
    whole = ramp(0, 100)
    (block,) = BlockMaker("mic", 4).push(whole[:5], 1.0)
    assert block.samples.base is None


@pytest.mark.parametrize("hop", [0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 1, 2.5, 10])
@pytest.mark.parametrize("window", [1, 2, 5, 10])
def test_every_window_ends_within_the_delay_of_a_resampler_before_a_block_does(window, hop):
    lengths = block_lengths(window, hop)
    assert 0.125 < lengths.seconds <= 0.25 or lengths.seconds == hop
    for number in range(100):
        blocks = (window + number * hop - lengths.first_seconds) / lengths.seconds
        after = (math.ceil(blocks) - blocks) * lengths.seconds
        assert after == pytest.approx(0.04, abs=1e-6)


def test_the_first_block_may_have_a_length_of_its_own():
    assert [BlockLengths(0.25, 0.5).samples(8, first=first) for first in (True, False)] == [4, 2]
    assert [BlockLengths(0.25).samples(8, first=first) for first in (True, False)] == [2, 2]
    assert BlockLengths(0.001).samples(8, first=False) == 1
