import pytest

from monitor.audio.sources.capture_clock import CaptureClock

RATE = 1000
BLOCK = 50
OPENED_AT = 70.0


def run(late, *, overflow_at=(), rate=1.0):
    """Blocks of 50 ms, each as late as it says (seconds), from a card that is ``rate`` times too fast."""
    clock = CaptureClock(RATE)
    found, stamps = [], []
    for i, seconds in enumerate(late):
        arrived = OPENED_AT + (i + 1) * BLOCK / RATE / rate + seconds
        found.append(clock.observe(BLOCK, arrived, overflow=i in overflow_at))
        stamps.append(clock.ended_at(arrived, arrived + 1e9) - 1e9)
    return found, stamps


def lost(found):
    return sum(count for _, count in found)


def gaps(found):
    return [i for i, (gap, _) in enumerate(found) if gap]


def test_the_earliest_blocks_give_the_time_of_capture():
    _, stamps = run([0.003, 0, 0.02, 0.01, 0.15, 0.1, 0.05, 0])
    for i, stamp in enumerate(stamps[1:], start=2):
        assert stamp == pytest.approx(OPENED_AT + i * BLOCK / RATE, abs=1e-3)


@pytest.mark.parametrize("rate", [1.0001, 0.9999])
def test_the_time_follows_a_card_that_is_too_fast_or_too_slow(rate):
    found, stamps = run([0] * 72000, rate=rate)  # an hour: 0.36 s
    assert gaps(found) == []
    assert stamps[-1] == pytest.approx(OPENED_AT + 3600 / rate, abs=0.01)


def test_time_does_not_fall():
    _, stamps = run([0.2, 0.1, 0.3, 0, 0.4, 0.1] * 10)
    assert stamps == sorted(stamps)


def test_a_delay_is_no_loss():
    held_up = [3 - 0.05 * i for i in range(60)]  # three seconds at once, then all blocks one after the other
    found, _ = run([0] * 100 + held_up + [0] * 100)
    assert gaps(found) == []
    assert lost(found) == 0


def test_a_loss_that_the_driver_reports_is_measured():
    found, stamps = run([0] * 100 + [0.7, 0.51, 0.5, 0.53] + [0.5] * 40, overflow_at=[100])
    assert gaps(found) == [100]
    assert lost(found) == pytest.approx(0.5 * RATE, abs=5)
    assert stamps[-1] == pytest.approx(OPENED_AT + 144 * BLOCK / RATE + 0.5, abs=1e-3)


def test_an_overflow_that_costs_no_time_counts_as_one_sample():
    found, _ = run([0] * 100, overflow_at=[0])
    assert gaps(found) == [0]
    assert lost(found) == 1


def test_a_delay_that_is_caught_up_slowly_is_no_loss():
    found, _ = run([0] * 100 + [3 - 0.03 * i for i in range(100)] + [0] * 100)
    assert gaps(found) == []


def test_a_loss_that_the_driver_does_not_report_is_detected():
    found, _ = run([0] * 100 + [0.4] * 50)
    assert gaps(found) == [120]
    assert lost(found) == pytest.approx(0.4 * RATE, abs=20)


def test_two_losses_are_two():
    found, _ = run([0] * 50 + [0.5] * 50 + [1.5] * 50)
    assert len(gaps(found)) == 2
    assert lost(found) == pytest.approx(1.5 * RATE, abs=40)


def test_the_time_follows_the_system_clock_forward_and_waits_when_it_goes_back():
    clock = CaptureClock(RATE)
    stamps = []
    for i, unix in enumerate([0, 0, 100, 95, 95]):
        now = 1.0 + i * 0.05
        clock.observe(BLOCK, now, overflow=False)
        stamps.append(clock.ended_at(now, now + unix))
    assert stamps == pytest.approx([1, 1.05, 101.1, 101.1, 101.1])


def test_the_time_follows_a_system_clock_that_is_set_back_far():
    clock = CaptureClock(RATE)
    clock.observe(BLOCK, 1.0, overflow=False)
    clock.ended_at(1.0, 9000.0)
    clock.observe(BLOCK, 1.05, overflow=False)
    assert clock.ended_at(1.05, 5000.0) == pytest.approx(5000)
