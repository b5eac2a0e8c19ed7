"""A sound card that goes and comes again and again under the running monitor, as the house sees it."""

import itertools

import pytest

from tests.support.broker import Broker, eventually
from tests.support.monitor_in_process import RunningMonitor
from tests.support.sound_card import SoundCard, plugged_in

pytestmark = [pytest.mark.broker, pytest.mark.sound_card]

TIMES = 10
OTHER = "other_microphone"


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as broker:
        yield broker


def crossed(windows, gaps):
    return [(start, stop, gap) for start, stop in windows for gap in gaps if start < gap < stop]


def test_each_time_the_house_hears_that_the_microphone_is_gone_and_that_it_is_back(
    broker, sound_card, tmp_path
):
    sound_card.hum()
    microphone = SoundCard.microphone
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline", "online")
        gaps = set()
        for _ in range(TIMES):
            house.until_scored(microphone)
            sound_card.unload()
            house.until(microphone, "online", "offline")
            sound_card.load()
            sound_card.hum()
            house.until(microphone, "offline", "online")
            eventually(lambda: house.gaps(microphone) - gaps)  # noqa: B023 - called here and now
            gaps |= house.gaps(microphone)
        house.until_scored(microphone, windows=3)
        assert house.statuses(microphone) == ["offline", "online"] * (TIMES + 1)
        assert house.daemon.parts.status[microphone].reopened == TIMES
        assert len(gaps) >= TIMES
    windows = house.scored[microphone]
    assert crossed(windows, gaps) == []
    assert windows == sorted(set(windows))
    assert all(any(gap <= start for start, _ in windows) for gap in gaps)


def test_a_microphone_that_is_gone_costs_the_other_not_one_window(broker, sound_card, tmp_path):
    microphone = SoundCard.microphone
    with plugged_in(OTHER) as other_card:
        sound_card.hum()
        other_card.hum()
        with RunningMonitor.of_microphones(broker, tmp_path, microphone, OTHER) as house:
            house.until(microphone, "offline", "online")
            house.until(OTHER, "offline", "online")
            sound_card.unload()
            house.until(microphone, "online", "offline")
            house.until_scored(OTHER, windows=4)
            sound_card.load()
            sound_card.hum()
            house.until(microphone, "offline", "online")
            house.until_scored(OTHER, windows=4)
            other = house.daemon.parts.status[OTHER]
            hop = house.daemon.parts.engine.hop
            assert house.statuses(OTHER) == ["offline", "online"]
            assert other.reopened == 0
            assert other.gaps <= other.overflows  # none, if the machine keeps up
    starts = [start for start, _ in house.scored[OTHER]]
    missing = sum(after - before > hop for before, after in itertools.pairwise(starts))
    assert missing <= other.late + other.gaps


def test_the_reason_is_told_while_it_lasts(broker, sound_card, tmp_path):
    sound_card.hum()
    microphone = SoundCard.microphone
    topic = f"clap-monitor/home/{microphone}/health"
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline", "online")
        sound_card.unload()
        eventually(lambda: '"offline":true' in house.subscriber.texts(topic)[-1])
        assert "has gone away" in house.subscriber.texts(topic)[-1]
        sound_card.load()
        sound_card.hum()
        eventually(lambda: '"offline":false,"offline_reason":null' in house.subscriber.texts(topic)[-1])


def test_a_microphone_that_is_not_there_when_the_monitor_starts_is_heard_when_it_comes(
    broker, sound_card, tmp_path
):
    microphone = SoundCard.microphone
    sound_card.unload()
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline")
        eventually(lambda: house.daemon.parts.status[microphone].offline)
        sound_card.load()
        sound_card.hum()
        house.until(microphone, "offline", "online")
        house.until_scored(microphone)
