"""Lines that anybody can cause are few, and the others are counted."""

import logging

import pytest

from monitor.system.log_limit import BURST, EVERY_SECONDS, TRACEBACK_SECONDS, LogLimit


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
    assert [line.getMessage() for line in lines] == [f"bad {number}" for number in range(BURST)]
    clock[0] += EVERY_SECONDS + 1
    for number in range(100):
        log.warning("bad %d", number)
    assert [line.getMessage() for line in lines[BURST:]] == [f"bad 0 (and {100 - BURST} more like it)"]


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
    assert len(lines) == BURST


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
