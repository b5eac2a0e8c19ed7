import pytest

from monitor.audio.sources.capture_clock import CaptureClock

RATE = 1000
BLOCK = 50
OPENED_AT = 70.0


def run(late, *, overflow_at=(), rate=1.0):
    """Blocks of 50 ms, each as late as it says (seconds), from a card that is ``rate`` times too fast."""
    clock = CaptureClock(RATE)
    heard, stamps = [], []
    for i, seconds in enumerate(late):
        arrived = OPENED_AT + (i + 1) * BLOCK / RATE / rate + seconds
        heard.append(clock.hear(BLOCK, arrived, overflow=i in overflow_at))
        stamps.append(clock.ended_at(arrived, arrived + 1e9) - 1e9)
    return heard, stamps


def lost(heard):
    return sum(count for _, count in heard)


def gaps(heard):
    return [i for i, (gap, _) in enumerate(heard) if gap]


def test_a_sample_was_captured_when_the_promptest_blocks_came():
    _, stamps = run([0.003, 0, 0.02, 0.01, 0.15, 0.1, 0.05, 0])
    for i, stamp in enumerate(stamps[1:], start=2):
        assert stamp == pytest.approx(OPENED_AT + i * BLOCK / RATE, abs=1e-3)


@pytest.mark.parametrize("rate", [1.0001, 0.9999])
def test_a_card_that_is_too_fast_or_too_slow_is_followed(rate):
    heard, stamps = run([0] * 72000, rate=rate)  # an hour: 0.36 s
    assert gaps(heard) == []
    assert stamps[-1] == pytest.approx(OPENED_AT + 3600 / rate, abs=0.01)


def test_time_does_not_fall():
    _, stamps = run([0.2, 0.1, 0.3, 0, 0.4, 0.1] * 10)
    assert stamps == sorted(stamps)


def test_being_held_up_is_no_loss():
    held_up = [3 - 0.05 * i for i in range(60)]  # three seconds at once, then all blocks one after the other
    heard, _ = run([0] * 100 + held_up + [0] * 100)
    assert gaps(heard) == []
    assert lost(heard) == 0


def test_a_loss_that_the_driver_reports_is_measured():
    heard, stamps = run([0] * 100 + [0.7, 0.51, 0.5, 0.53] + [0.5] * 40, overflow_at=[100])
    assert gaps(heard) == [100]
    assert lost(heard) == pytest.approx(0.5 * RATE, abs=5)
    assert stamps[-1] == pytest.approx(OPENED_AT + 144 * BLOCK / RATE + 0.5, abs=1e-3)


def test_an_overflow_that_costs_no_time_counts_as_one_sample():
    heard, _ = run([0] * 100, overflow_at=[0])
    assert gaps(heard) == [0]
    assert lost(heard) == 1


def test_being_held_up_and_catching_up_slowly_is_no_loss():
    heard, _ = run([0] * 100 + [3 - 0.03 * i for i in range(100)] + [0] * 100)
    assert gaps(heard) == []


def test_a_loss_that_the_driver_keeps_to_itself_is_found():
    heard, _ = run([0] * 100 + [0.4] * 50)
    assert gaps(heard) == [120]
    assert lost(heard) == pytest.approx(0.4 * RATE, abs=20)


def test_two_losses_are_two():
    heard, _ = run([0] * 50 + [0.5] * 50 + [1.5] * 50)
    assert len(gaps(heard)) == 2
    assert lost(heard) == pytest.approx(1.5 * RATE, abs=40)


def test_the_system_clock_is_followed_forward_and_waited_for_backward():
    clock = CaptureClock(RATE)
    stamps = []
    for i, unix in enumerate([0, 0, 100, 95, 95]):
        now = 1.0 + i * 0.05
        clock.hear(BLOCK, now, overflow=False)
        stamps.append(clock.ended_at(now, now + unix))
    assert stamps == pytest.approx([1, 1.05, 101.1, 101.1, 101.1])


def test_a_system_clock_that_is_set_back_far_is_followed():
    clock = CaptureClock(RATE)
    clock.hear(BLOCK, 1.0, overflow=False)
    clock.ended_at(1.0, 9000.0)
    clock.hear(BLOCK, 1.05, overflow=False)
    assert clock.ended_at(1.05, 5000.0) == pytest.approx(5000)
