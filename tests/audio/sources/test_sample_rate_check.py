"""A rate that is a lie is found within 10 s; nothing that a busy machine does is taken for one."""

import random

import pytest

from monitor.audio.sources.sample_rate_check import SampleRateCheck

RATE = 1000
BLOCK = 50


def listen(late, *, delivered=RATE, lost_at=()):
    """Hear blocks, each as late as it says; return seconds until a lie is found, and what is known then."""
    tempo = SampleRateCheck(RATE)
    for i, seconds in enumerate(late):
        arrived = 70 + (i + 1) * BLOCK / delivered
        tempo.hear(BLOCK, arrived + seconds, lost=i in lost_at)
        if tempo.lie is not None:
            return arrived - 70, tempo
    return None, tempo


@pytest.mark.parametrize("delivered", [919, 1088, 667, 1500, 333, 3000, 500])
def test_a_lie_is_found_within_10_seconds_and_the_true_rate_is_known(delivered):
    chance = random.Random(delivered)
    found, tempo = listen([chance.uniform(0, 0.05) for _ in range(1000)], delivered=delivered)
    assert found < 10
    assert tempo.lie == pytest.approx(delivered, rel=0.05)
    assert not tempo.true


@pytest.mark.parametrize("delivered", [1000, 1000.3, 999.7, 1005, 995])
def test_the_truth_is_known_after_10_seconds_and_believed_for_an_hour(delivered):
    chance = random.Random(delivered)
    found, tempo = listen([chance.uniform(0, 0.1) for _ in range(200)], delivered=delivered)
    assert tempo.true
    found, tempo = listen([chance.uniform(0, 0.1) for _ in range(72_000)], delivered=delivered)
    assert found is None


def test_being_held_up_is_no_lie_however_it_catches_up():
    for speed in (0.02, 0.05, 0.1, 0.3, 0.6, 0.9, 1):
        for held_up in (0.2, 0.5, 1, 3, 8):
            falling = [held_up - speed * BLOCK / RATE * i for i in range(2000)]
            late = [0] * 400 + [max(0, seconds) for seconds in falling]
            assert listen(late)[0] is None, (speed, held_up)


def test_losses_now_and_then_are_no_lie():
    chance = random.Random(3)
    late, lost = [], 0.0
    for _ in range(20_000):
        lost += chance.choice([0] * 60 + [0.3])
        late.append(lost + chance.uniform(0, 0.1))
    assert listen(late)[0] is None


def test_what_the_driver_says_that_it_lost_is_no_lie():
    lost = set(range(0, 4000, 20))
    late = [0.1 * (i // 20) for i in range(4000)]
    assert listen(late, lost_at=lost)[0] is None


def test_a_machine_that_sleeps_is_no_lie():
    found, _ = listen([0] * 100 + [3600.0] * 100 + [7200.0] * 100)
    assert found is None


def test_little_is_known_at_first():
    assert not listen([0] * 150)[1].true
