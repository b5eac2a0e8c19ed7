"""A sound card that goes and comes again and again under the running monitor, as the monitor sees it."""

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


def test_each_loss_and_each_return_of_the_microphone_is_published(broker, sound_card, tmp_path):
    sound_card.hum()
    microphone = SoundCard.microphone
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as monitor:
        monitor.until(microphone, "online")
        gaps = set()
        for _ in range(TIMES):
            monitor.until_scored(microphone)
            sound_card.unload()
            monitor.until(microphone, "offline")
            sound_card.load()
            sound_card.hum()
            monitor.until(microphone, "online")
            eventually(lambda: monitor.gaps(microphone) - gaps)  # noqa: B023 - called here and now
            gaps |= monitor.gaps(microphone)
        monitor.until_scored(microphone, windows=3)
        assert monitor.statuses(microphone) == ["online", *["offline", "online"] * TIMES]
        assert monitor.daemon.parts.status[microphone].reopened == TIMES
        assert len(gaps) >= TIMES
    windows = monitor.scored[microphone]
    assert crossed(windows, gaps) == []
    assert windows == sorted(set(windows))
    assert all(any(gap <= start for start, _ in windows) for gap in gaps)


def test_a_microphone_that_is_gone_costs_the_other_not_one_window(broker, sound_card, tmp_path):
    microphone = SoundCard.microphone
    with plugged_in(OTHER) as other_card:
        sound_card.hum()
        other_card.hum()
        with RunningMonitor.of_microphones(broker, tmp_path, microphone, OTHER) as monitor:
            monitor.until(microphone, "online")
            monitor.until(OTHER, "online")
            sound_card.unload()
            monitor.until(microphone, "offline")
            monitor.until_scored(OTHER, windows=4)
            sound_card.load()
            sound_card.hum()
            monitor.until(microphone, "online")
            monitor.until_scored(OTHER, windows=4)
            other = monitor.daemon.parts.status[OTHER]
            hop = monitor.daemon.parts.engine.hop
            assert monitor.statuses(OTHER) == ["online"]
            assert other.reopened == 0
            assert other.gaps <= other.overflows  # none, if the machine keeps up
    starts = [start for start, _ in monitor.scored[OTHER]]
    missing = sum(after - before > hop for before, after in itertools.pairwise(starts))
    assert missing <= other.late + other.gaps


def test_the_reason_is_told_while_it_lasts(broker, sound_card, tmp_path):
    sound_card.hum()
    microphone = SoundCard.microphone
    topic = f"clap-monitor/home/{microphone}/health"
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as monitor:
        monitor.until(microphone, "online")
        sound_card.unload()
        eventually(lambda: '"offline":true' in monitor.subscriber.texts(topic)[-1])
        assert "has disappeared" in monitor.subscriber.texts(topic)[-1]
        sound_card.load()
        sound_card.hum()
        eventually(lambda: '"offline":false,"offline_reason":null' in monitor.subscriber.texts(topic)[-1])


def test_a_microphone_missing_at_the_start_is_online_once_it_comes(broker, sound_card, tmp_path):
    microphone = SoundCard.microphone
    sound_card.unload()
    with RunningMonitor.of_microphones(broker, tmp_path, microphone) as monitor:
        monitor.until(microphone, "offline")
        eventually(lambda: monitor.daemon.parts.status[microphone].offline)
        sound_card.load()
        sound_card.hum()
        monitor.until(microphone, "online")
        monitor.until_scored(microphone)
