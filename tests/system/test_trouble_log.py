"""Log lines that others can cause are few, and say how many were left out."""

import logging

from monitor.system.trouble_log import TroubleLog

log = logging.getLogger("monitor.test_trouble_log")


def test_a_burst_is_logged_and_of_a_flood_only_its_beginning(caplog):
    trouble = TroubleLog(log, burst=3, seconds=1e9)
    for number in range(1000):
        trouble.warning("%s is refused", number)
    assert [record.getMessage() for record in caplog.records] == [f"{n} is refused" for n in range(3)]
    assert trouble.left_out == 997


def test_after_a_while_the_next_line_says_how_many_were_left_out(caplog, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("monitor.system.trouble_log.time.monotonic", lambda: now[0])
    trouble = TroubleLog(log, burst=2, seconds=10.0)
    for number in range(5):
        trouble.warning("%s", number)
    now[0] += 9.0
    trouble.warning("too early")
    now[0] += 1.5
    trouble.warning("late")
    trouble.warning("too early again")
    assert [record.getMessage() for record in caplog.records] == [
        "0", "1", "late (4 lines like this were left out)",
    ]  # fmt: skip
    now[0] += 1000.0
    trouble.warning("a")
    trouble.warning("b")
    trouble.warning("c")
    assert len(caplog.records) == 5


def test_a_level_that_is_not_logged_uses_nothing_up(caplog):
    caplog.set_level(logging.WARNING, logger=log.name)
    trouble = TroubleLog(log, burst=1, seconds=1e9)
    trouble.info("done")
    trouble.warning("refused")
    assert [record.getMessage() for record in caplog.records] == ["refused"]
