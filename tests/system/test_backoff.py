"""Delays double up to the longest, and start again after a reset."""

from monitor.system.backoff import Backoff


def test_the_delay_doubles_up_to_the_longest_and_a_reset_starts_again():
    backoff = Backoff(1.0, 5.0)
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next() == 1.0
