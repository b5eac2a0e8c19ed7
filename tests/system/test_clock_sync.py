"""Clock synchronisation of this machine: how good it is."""

import pytest

from monitor.system.clock_sync import ClockSync, is_synchronised, read_clock_sync


@pytest.mark.parametrize(
    ("answer", "timesyncd", "expected"),
    [
        ((0, 12_500), False, ClockSync(True, 0.0125)),
        ((5, 16_000_000), False, ClockSync(False, None)),
        ((5, 16_000_000), True, ClockSync(True, None)),
        (None, True, ClockSync(True, None)),
        (None, False, ClockSync(None, None)),
    ],
    ids=["kernel", "free-running", "timesyncd", "sandbox", "unknown"],
)
def test_the_kernel_is_asked_first_and_timesyncd_where_it_may_not_be(answer, timesyncd, expected, tmp_path):
    file = tmp_path / "synchronized"
    if timesyncd:
        file.touch()
    assert read_clock_sync(lambda: answer, file) == expected


def test_this_machine_answers():
    clock = read_clock_sync()
    assert clock.synchronised in {True, False, None}
    assert clock.synchronised is is_synchronised()
    assert clock.error_seconds is None or 0 <= clock.error_seconds < 3600
