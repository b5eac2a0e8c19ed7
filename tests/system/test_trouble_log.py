"""Lines that something outside can cause are few, and say how many were left out."""

import logging

import pytest

from monitor.system.trouble_log import EVERY_SECONDS, KIND_BURST, TRACEBACK_SECONDS, LogLimit, TroubleLog

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
        "0", "1", "late (and 4 more like it)",
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


def test_a_trouble_is_logged_when_it_begins_changes_and_ends(caplog):
    caplog.set_level(logging.INFO, logger=log.name)
    troubles, trouble = TroubleLog(log), None
    for now in (None, "full", "full", "gone", None, None):
        trouble = troubles.change(trouble, now, "disk")
        assert trouble == now
    troubles.change(None, "full", "disk", effect="nothing is kept", level=logging.ERROR)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "disk: full"),
        ("WARNING", "disk: gone"),
        ("INFO", "disk: works again"),
        ("ERROR", "disk: full: nothing is kept"),
    ]


@pytest.fixture
def limited():
    """Return a logger with a limit, its lines, and a clock that is set."""
    clock, lines = [0.0], []
    logger = logging.Logger("limited")  # noqa: LOG001 - known to nobody else
    logger.addFilter(LogLimit(lambda: clock[0]))
    handler = logging.Handler()
    handler.emit = lines.append
    logger.addHandler(handler)
    return logger, lines, clock


def test_some_are_logged_at_once_then_one_a_minute_with_the_number_of_the_others(limited):
    log, lines, clock = limited
    for number in range(100):
        log.warning("bad %d", number)
    assert [line.getMessage() for line in lines] == [f"bad {number}" for number in range(KIND_BURST)]
    clock[0] += EVERY_SECONDS + 1
    for number in range(100):
        log.warning("bad %d", number)
    assert [line.getMessage() for line in lines[KIND_BURST:]] == [
        f"bad 0 (and {100 - KIND_BURST} more like it)"
    ]


def test_one_kind_takes_nothing_from_another(limited):
    log, lines, _ = limited
    for _ in range(100):
        log.warning("this")
    log.warning("that")
    assert lines[-1].getMessage() == "that"


def test_what_others_say_makes_no_new_kind(limited):
    log, lines, _ = limited
    for number in range(1000):
        try:
            raise KeyError(number)  # noqa: TRY301
        except KeyError as error:
            log.exception("a fault in %s", f"/path/{number}", exc_info=error)
    assert len(lines) == KIND_BURST


def test_a_traceback_comes_once_an_hour(limited):
    log, lines, clock = limited

    def fail():
        try:
            raise KeyError("x")  # noqa: TRY301
        except KeyError:
            log.exception("a fault")

    for _ in range(3):
        fail()
    assert [bool(line.exc_info) for line in lines] == [True, False, False]
    clock[0] += TRACEBACK_SECONDS
    fail()
    assert lines[-1].exc_info


def test_kinds_without_end_are_not_remembered(limited):
    log, lines, _ = limited
    for number in range(5000):
        log.warning(f"kind {number}")  # noqa: G004
    assert len(lines) == 5000
    (limit,) = log.filters
    assert len(limit._kinds) <= 256
