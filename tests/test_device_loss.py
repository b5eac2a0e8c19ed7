"""A sound card that goes and comes again and again under the running monitor, as the house sees it."""

import itertools
import threading

import pytest

from monitor.config import Config, LabelConfig, MqttConfig, SourceConfig
from monitor.daemon import Daemon
from tests.broker import PATIENCE, Broker, Subscriber, eventually
from tests.sound_card import SoundCard, plugged_in

pytestmark = [pytest.mark.broker, pytest.mark.sound_card]

TIMES = 10
OTHER = "other_microphone"
SECONDS = PATIENCE
"""Given to what takes ten at most on a machine that has nothing else to do."""


class House:
    """A monitor with a microphone for each card, the broker it tells, and somebody who listens there."""

    def __init__(self, broker, directory, *devices):
        self.daemon = Daemon(
            Config(
                sources=[SourceConfig(name=name, kind="microphone", device=name) for name in devices],
                labels=(LabelConfig(id="dog", prompts=("a dog barking",)),),
                mqtt=MqttConfig(host=broker.host, port=broker.port),
                state=directory / "state",
                recordings=directory / "recordings",
            )
        )
        self.scored = {name: [] for name in devices}
        self.subscriber = Subscriber(broker)
        self._thread = threading.Thread(target=self.daemon.run, kwargs={"on_scores": self._note})

    def __enter__(self):
        self.subscriber.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        self._thread.join(SECONDS)
        self.subscriber.__exit__()
        assert not self._thread.is_alive()

    def _note(self, scores):
        self.scored[scores.source].append((scores.start, scores.stop))

    def statuses(self, source):
        """What was said of a source since the broker let us in, without repetitions."""
        said = self.subscriber.texts(f"clap-monitor/home/{source}/status")
        return [text for i, text in enumerate(said) if i == 0 or text != said[i - 1]]

    def until(self, source, *statuses):
        eventually(lambda: self.statuses(source)[-len(statuses) :] == list(statuses), SECONDS)

    def until_scored(self, source, windows=1):
        before = len(self.scored[source])
        eventually(lambda: len(self.scored[source]) >= before + windows, SECONDS)

    def gaps(self, source):
        return set(self.daemon._buffers[source]._gaps)


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
    with House(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline", "online")
        gaps = set()
        for _ in range(TIMES):
            house.until_scored(microphone)
            sound_card.unload()
            house.until(microphone, "online", "offline")
            sound_card.load()
            sound_card.hum()
            house.until(microphone, "offline", "online")
            eventually(lambda: house.gaps(microphone) - gaps, SECONDS)  # noqa: B023 - called here and now
            gaps |= house.gaps(microphone)
        house.until_scored(microphone, windows=3)
        assert house.statuses(microphone) == ["offline", "online"] * (TIMES + 1)
        assert house.daemon.status[microphone].reopened == TIMES
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
        with House(broker, tmp_path, microphone, OTHER) as house:
            house.until(microphone, "offline", "online")
            house.until(OTHER, "offline", "online")
            sound_card.unload()
            house.until(microphone, "online", "offline")
            house.until_scored(OTHER, windows=4)
            sound_card.load()
            sound_card.hum()
            house.until(microphone, "offline", "online")
            house.until_scored(OTHER, windows=4)
            other = house.daemon.status[OTHER]
            hop = house.daemon.hearing.hop
            assert house.statuses(OTHER) == ["offline", "online"]
            assert other.reopened == 0
            assert other.gaps <= other.overflows  # none, if the machine keeps up
    starts = [start for start, _ in house.scored[OTHER]]
    missing = sum(after - before > hop for before, after in itertools.pairwise(starts))
    assert missing <= other.skipped + other.gaps


def test_the_reason_is_told_while_it_lasts(broker, sound_card, tmp_path):
    sound_card.hum()
    microphone = SoundCard.microphone
    topic = f"clap-monitor/home/{microphone}/health"
    with House(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline", "online")
        sound_card.unload()
        eventually(lambda: '"deaf":true' in house.subscriber.texts(topic)[-1], SECONDS)
        assert "has gone away" in house.subscriber.texts(topic)[-1]
        sound_card.load()
        sound_card.hum()
        eventually(lambda: '"deaf":false,"reason":null' in house.subscriber.texts(topic)[-1], SECONDS)


def test_a_microphone_that_is_not_there_when_the_monitor_starts_is_heard_when_it_comes(
    broker, sound_card, tmp_path
):
    microphone = SoundCard.microphone
    sound_card.unload()
    with House(broker, tmp_path, microphone) as house:
        house.until(microphone, "offline")
        eventually(lambda: house.daemon.status[microphone].deaf_since, SECONDS)
        sound_card.load()
        sound_card.hum()
        house.until(microphone, "offline", "online")
        house.until_scored(microphone)
