"""A model that is too slow: windows are left out, counted and told, until it is over."""

import json
import threading

import pytest

from monitor.config import SourceConfig
from monitor.daemon.progress import run_summary
from tests.support.broken_model import slow_while
from tests.support.broker import Broker, eventually
from tests.support.command_line import ROOT
from tests.support.homeassistant import HomeAssistant
from tests.support.monitor_in_process import RunningMonitor

pytestmark = pytest.mark.broker

SOURCE = SourceConfig(name="demo", kind="file", path=ROOT / "recordings/demo.flac")
TOPIC = "clap-monitor/home/demo"


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as broker:
        yield broker


def test_while_the_model_is_slow_late_windows_are_counted_and_published(broker, tmp_path, caplog):
    slow = threading.Event()
    with (
        HomeAssistant(broker) as home,
        RunningMonitor(broker, tmp_path, SOURCE, around=slow_while(slow, seconds=4.0)) as house,
    ):

        def told():
            return [json.loads(text) for text in house.subscriber.texts(f"{TOPIC}/warning")]

        house.until("demo", "online")
        house.until_scored("demo")
        eventually(lambda: home.state("demo_OVERLOADED") == "off")
        slow.set()
        eventually(lambda: home.state("demo_OVERLOADED") == "on")
        slow.clear()
        skipped = house.daemon.parts.status["demo"].late
        assert skipped > 0
        warning = eventually(told)[0]
        assert (warning["warning"], warning["phase"], warning["source"]) == ("overloaded", "start", "demo")
        assert "slower than the hop" in warning["text"]
        eventually(lambda: home.state("demo_OVERLOADED") == "off")
        eventually(lambda: told()[-1]["phase"] == "end")
        assert told()[-1]["dropped_seconds"] > 0
        assert house.statuses("demo")[-1] == "online"
    assert "demo: windows are left out: the model is slower than the hop" in caplog.text
    starts = [start for start, _ in house.scored["demo"]]
    assert starts == sorted(set(starts))
    assert run_summary(house.daemon.parts).late >= skipped
