import time
from datetime import datetime

import pytest

from monitor.config import NotifyConfig
from monitor.outputs.notify.rate_limit import MOST_KEPT, RateLimit
from tests.support.events import ended, event


def restraint(**keys):
    return RateLimit(NotifyConfig(name="phone", url_env="URL", **keys))


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(clock):
    return datetime.fromisoformat(f"2026-11-24T{clock}+00:00").timestamp()


def test_starts_of_all_labels_are_wanted_unless_told_otherwise():
    assert restraint().wants(event("dog", score=0.01))
    assert not restraint().wants(ended(event("dog")))
    assert not restraint(labels=("cat",)).wants(event("dog"))
    assert not restraint(labels=()).wants(event("dog"))
    assert not restraint(min_score=0.9).wants(event("dog", score=0.89))
    assert restraint(min_score=0.9).wants(event("dog", score=0.9))


def test_within_the_cooldown_of_a_label_its_events_are_held_back_and_those_of_others_are_not():
    phone = restraint(cooldown_seconds=60)
    noon = at("12:00")
    assert phone.allows(event("dog"), "Dog", at=noon, now=0.0)
    assert not phone.allows(event("dog"), "Dog", at=noon, now=59.9)
    assert phone.allows(event("cat"), "Cat", at=noon, now=59.9)
    assert phone.allows(event("dog"), "Dog", at=noon, now=60.0)
    assert phone.held == 1


def test_what_is_held_back_does_not_prolong_the_cooldown():
    phone = restraint(cooldown_seconds=60)
    allowed = [phone.allows(event("dog"), "Dog", at=at("12:00"), now=float(now)) for now in range(0, 125, 5)]
    assert [now for now, told in zip(range(0, 125, 5), allowed, strict=True) if told] == [0, 60, 120]


def test_a_wall_clock_that_is_set_back_makes_no_cooldown_longer():
    phone = restraint(cooldown_seconds=60)
    assert phone.allows(event("dog"), "Dog", at=at("12:00"), now=0.0)
    assert phone.allows(event("dog"), "Dog", at=at("03:00"), now=60.0)


def test_in_quiet_hours_everything_is_held_back_and_owed_when_they_are_over():
    phone = restraint(quiet_hours=("22:00-07:00", "13:00-14:00"))
    assert not phone.allows(event("dog"), "Dog", at=at("23:30"), now=0.0)
    assert not phone.allows(event("dog"), "Dog", at=at("23:40"), now=600.0)
    assert not phone.allows(event("cat"), "Cat", at=at("06:59"), now=30000.0)
    assert not phone.owes(at("06:59"))
    assert phone.owes(at("07:00"))
    assert phone.digest() == "Held back since 06:59: Dog (2 times), Cat"
    phone.told()
    assert not phone.owes(at("07:01"))
    assert phone.digest() == ""
    assert phone.held == 3
    assert not phone.allows(event("dog"), "Dog", at=at("13:30"), now=40000.0)


def test_quiet_hours_start_no_cooldown():
    phone = restraint(quiet_hours=("22:00-07:00",), cooldown_seconds=3600)
    assert not phone.allows(event("dog"), "Dog", at=at("06:59"), now=0.0)
    assert phone.allows(event("dog"), "Dog", at=at("07:00"), now=60.0)


def test_a_cooldown_alone_owes_nothing_but_a_line_with_the_next_message():
    phone = restraint(cooldown_seconds=60)
    phone.allows(event("dog"), "Dog", at=at("12:00"), now=0.0)
    phone.allows(event("dog"), "Dog", at=at("12:00:30"), now=30.0)
    assert not phone.owes(at("12:02"))
    assert phone.digest() == "Held back since 12:00: Dog"


def test_what_is_remembered_of_many_labels_is_bounded():
    phone = restraint()
    for number in range(10 * MOST_KEPT):
        phone.hold(f"Label {number}", at("12:00"))
    assert phone.digest().count("Label") == MOST_KEPT
    assert phone.held == 10 * MOST_KEPT
