"""A wrong rate is detected within 10 s; delays of a busy machine are not taken for one."""

import random

import pytest

from monitor.audio.sources.sample_rate_check import SampleRateCheck

RATE = 1000
BLOCK = 50


def check_blocks(late, *, delivered=RATE, lost_at=()):
    """Observe blocks, each late by so many seconds; return the seconds until a wrong rate, and the check."""
    check = SampleRateCheck(RATE)
    for i, seconds in enumerate(late):
        arrived = 70 + (i + 1) * BLOCK / delivered
        check.observe(BLOCK, arrived + seconds, lost=i in lost_at)
        if check.wrong_rate is not None:
            return arrived - 70, check
    return None, check


@pytest.mark.parametrize("delivered", [919, 1088, 667, 1500, 333, 3000, 500])
def test_a_wrong_rate_is_detected_and_measured_within_10_seconds(delivered):
    chance = random.Random(delivered)
    found, check = check_blocks([chance.uniform(0, 0.05) for _ in range(1000)], delivered=delivered)
    assert found < 10
    assert check.wrong_rate == pytest.approx(delivered, rel=0.05)
    assert not check.confirmed


@pytest.mark.parametrize("delivered", [1000, 1000.3, 999.7, 1005, 995])
def test_a_correct_rate_is_confirmed_after_10_seconds_and_stays_so_for_an_hour(delivered):
    chance = random.Random(delivered)
    found, check = check_blocks([chance.uniform(0, 0.1) for _ in range(200)], delivered=delivered)
    assert check.confirmed
    found, check = check_blocks([chance.uniform(0, 0.1) for _ in range(72_000)], delivered=delivered)
    assert found is None


def test_a_delay_is_no_wrong_rate_however_it_catches_up():
    for speed in (0.02, 0.05, 0.1, 0.3, 0.6, 0.9, 1):
        for held_up in (0.2, 0.5, 1, 3, 8):
            falling = [held_up - speed * BLOCK / RATE * i for i in range(2000)]
            late = [0] * 400 + [max(0, seconds) for seconds in falling]
            assert check_blocks(late)[0] is None, (speed, held_up)


def test_occasional_losses_are_no_wrong_rate():
    chance = random.Random(3)
    late, lost = [], 0.0
    for _ in range(20_000):
        lost += chance.choice([0] * 60 + [0.3])
        late.append(lost + chance.uniform(0, 0.1))
    assert check_blocks(late)[0] is None


def test_reported_losses_are_no_wrong_rate():
    lost = set(range(0, 4000, 20))
    late = [0.1 * (i // 20) for i in range(4000)]
    assert check_blocks(late, lost_at=lost)[0] is None


def test_a_suspended_machine_is_no_wrong_rate():
    found, _ = check_blocks([0] * 100 + [3600.0] * 100 + [7200.0] * 100)
    assert found is None


def test_nothing_is_confirmed_at_first():
    assert not check_blocks([0] * 150)[1].confirmed
