import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config.hours import Hours, parse_hours

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(clock, day="2026-11-24", fold=0):
    """Unix seconds when a clock in Berlin shows this."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=BERLIN, fold=fold).timestamp()


def test_a_day_has_its_first_minute_and_not_its_last():
    hours = parse_hours("13:00-14:30")
    assert not hours.contains(at("12:59:59"))
    assert hours.contains(at("13:00:00"))
    assert hours.contains(at("14:29:59"))
    assert not hours.contains(at("14:30:00"))


def test_a_night_goes_over_midnight():
    hours = parse_hours("22:00-07:00")
    assert [hours.contains(at(clock)) for clock in ("21:59", "22:00", "00:00", "06:59", "07:00")] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_the_hour_that_comes_twice_counts_twice_and_the_night_ends_by_the_clock():
    hours = parse_hours("02:00-03:00")
    autumn = "2026-10-25"
    assert hours.contains(at("02:30", autumn, fold=0))
    assert hours.contains(at("02:30", autumn, fold=1))
    assert at("02:30", autumn, fold=1) - at("02:30", autumn, fold=0) == 3600
    assert not hours.contains(at("03:00", autumn))


def test_the_hour_that_is_left_out_is_left_out():
    hours = parse_hours("02:00-03:00")
    assert not any(hours.contains(at("01:59", "2026-03-29") + minute * 60) for minute in range(1, 120))


def test_spaces_and_short_hours_are_understood():
    assert parse_hours(" 7:05 - 9:00 ") == Hours(425, 540)


def test_midnight_is_an_end_in_either_spelling():
    assert parse_hours("20:00-00:00") == parse_hours("20:00-24:00") == Hours(1200, 1440)


def test_the_whole_day_can_be_said():
    hours = parse_hours("00:00-24:00")
    assert all(hours.contains(at("00:00") + minute * 60) for minute in range(1440))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a time range"),
        ("22-7", "not a time range"),
        ("22:00", "not a time range"),
        ("22:00-07:00x", "not a time range"),
        ("٢٢:00-07:00", "not a time range"),
        ("25:00-07:00", "not a time of day"),
        ("22:60-07:00", "not a time of day"),
        ("24:00-07:00", "not a time of day"),
        ("22:00-24:01", "not a time of day"),
        ("07:00-07:00", "starts and stops at the same time"),
    ],
)
def test_what_is_no_hours_is_refused_with_a_reason(text, words):
    with pytest.raises(ValueError, match=words):
        parse_hours(text)


@given(start=st.integers(0, 1439), stop=st.integers(1, 1440))
def test_what_is_written_is_what_is_read(start, stop):
    if start != stop:
        assert parse_hours(str(Hours(start, stop))) == Hours(start, stop)


@given(start=st.integers(0, 1439), stop=st.integers(1, 1439), minute=st.integers(0, 1439))
def test_a_moment_is_in_hours_or_in_the_others(start, stop, minute):
    if start in {stop, 0}:
        return
    moment = at("00:00") + minute * 60
    assert Hours(start, stop).contains(moment) != Hours(stop, start).contains(moment)


@pytest.mark.parametrize("years", [-5, 5])
def test_when_the_clock_is_set_quiet_hours_go_by_it_at_once_and_back_again(years):
    hours = parse_hours("22:00-07:00")
    wrong = f"{2026 + years}-11-24"
    moments = [
        at("21:59"),
        at("23:00", wrong),
        at("12:00", wrong),
        at("06:59"),
        at("07:00"),
        at("03:00", wrong),
    ]
    assert [hours.contains(moment) for moment in moments] == [False, True, False, True, False, True]
