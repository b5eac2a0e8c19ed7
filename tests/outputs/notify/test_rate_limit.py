import time
from datetime import datetime

import pytest

from monitor.config import NotifyConfig
from monitor.outputs.notify.rate_limit import MAX_TITLES, RateLimit
from tests.support.events import ended, event


def rate_limit(**keys):
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


def test_starts_of_all_labels_match_by_default():
    assert rate_limit().matches(event("dog", score=0.01))
    assert not rate_limit().matches(ended(event("dog")))
    assert not rate_limit(labels=("cat",)).matches(event("dog"))
    assert not rate_limit(labels=()).matches(event("dog"))
    assert not rate_limit(min_score=0.9).matches(event("dog", score=0.89))
    assert rate_limit(min_score=0.9).matches(event("dog", score=0.9))


def test_the_cooldown_of_a_label_holds_back_only_its_own_events():
    phone = rate_limit(cooldown_seconds=60)
    noon = at("12:00")
    assert phone.allows(event("dog"), "Dog", at=noon, now=0.0)
    assert not phone.allows(event("dog"), "Dog", at=noon, now=59.9)
    assert phone.allows(event("cat"), "Cat", at=noon, now=59.9)
    assert phone.allows(event("dog"), "Dog", at=noon, now=60.0)
    assert phone.held == 1


def test_a_held_event_does_not_prolong_the_cooldown():
    phone = rate_limit(cooldown_seconds=60)
    allowed = [phone.allows(event("dog"), "Dog", at=at("12:00"), now=float(now)) for now in range(0, 125, 5)]
    assert [now for now, told in zip(range(0, 125, 5), allowed, strict=True) if told] == [0, 60, 120]


def test_a_wall_clock_that_is_set_back_makes_no_cooldown_longer():
    phone = rate_limit(cooldown_seconds=60)
    assert phone.allows(event("dog"), "Dog", at=at("12:00"), now=0.0)
    assert phone.allows(event("dog"), "Dog", at=at("03:00"), now=60.0)


def test_in_quiet_hours_everything_is_held_back_and_owed_when_they_are_over():
    phone = rate_limit(quiet_hours=("22:00-07:00", "13:00-14:00"))
    assert not phone.allows(event("dog"), "Dog", at=at("23:30"), now=0.0)
    assert not phone.allows(event("dog"), "Dog", at=at("23:40"), now=600.0)
    assert not phone.allows(event("cat"), "Cat", at=at("06:59"), now=30000.0)
    assert not phone.digest_due(at("06:59"))
    assert phone.digest_due(at("07:00"))
    assert phone.digest() == "Held back since 06:59: Dog (2 times), Cat"
    phone.clear_digest()
    assert not phone.digest_due(at("07:01"))
    assert phone.digest() == ""
    assert phone.held == 3
    assert not phone.allows(event("dog"), "Dog", at=at("13:30"), now=40000.0)


def test_quiet_hours_start_no_cooldown():
    phone = rate_limit(quiet_hours=("22:00-07:00",), cooldown_seconds=3600)
    assert not phone.allows(event("dog"), "Dog", at=at("06:59"), now=0.0)
    assert phone.allows(event("dog"), "Dog", at=at("07:00"), now=60.0)


def test_a_cooldown_alone_owes_nothing_but_a_line_with_the_next_message():
    phone = rate_limit(cooldown_seconds=60)
    phone.allows(event("dog"), "Dog", at=at("12:00"), now=0.0)
    phone.allows(event("dog"), "Dog", at=at("12:00:30"), now=30.0)
    assert not phone.digest_due(at("12:02"))
    assert phone.digest() == "Held back since 12:00: Dog"


def test_the_digest_is_bounded():
    phone = rate_limit()
    for number in range(10 * MAX_TITLES):
        phone.hold(f"Label {number}", at("12:00"))
    assert phone.digest().count("Label") == MAX_TITLES
    assert phone.held == 10 * MAX_TITLES
