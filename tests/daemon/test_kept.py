"""A run, whole, and what is left of it: the real model, a real broker, real speech, a real full disk."""

import json

import numpy as np
import pytest
import soundfile

from monitor.outputs.store import FILE, StoreReader
from tests.support.broker import Broker, Subscriber
from tests.support.command_line import ROOT, clap_monitor, events_of
from tests.support.small_disk import fill, small_disk

DEMO = ROOT / "recordings/demo.flac"
ROOSTER = "{id: rooster, prompts: [a rooster crowing, a cock crowing in the morning]}"
SPEECH = "/usr/share/saytime/{}.au"
EVENT = "clap-monitor/home/yard/event"


def configured(directory, **more):
    """Write a configuration that replays the demo as fast as it goes."""
    lines = {"sources": f"[{{name: yard, kind: file, pace: fast, path: {directory / 'sound.wav'}}}]",
             "labels": f"[{ROOSTER}]", "clips": "{enabled: true, free_megabytes: 0}"} | more  # fmt: skip
    (directory / "monitor.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return "--config", directory / "monitor.yaml"


def spoken(rate):
    """Return somebody saying the time."""
    words = ("the_time_is", "exactly", "12", "hours", "and", "20", "minutes", "oclock", "am", "seconds")
    found = []
    for word in words:
        with open(SPEECH.format(word), "rb") as file:  # noqa: PTH123
            code = ~np.frombuffer(file.read(), np.uint8)
        sizes = (((code & 15).astype(int) << 3) + 132 << ((code >> 4) & 7)) - 132
        found.append(np.where(code & 128, -sizes, sizes) / 32_768)
    at_8_kilohertz = np.concatenate(found)
    times = np.arange(len(at_8_kilohertz) * rate // 8000) * 8000 / rate
    return np.interp(times, np.arange(len(at_8_kilohertz)), at_8_kilohertz).astype(np.float32)


@pytest.fixture
def yard(tmp_path):
    """Return a directory with half a minute around a rooster, whose samples a test may change."""
    samples, rate = soundfile.read(DEMO, start=10 * 32_000, stop=40 * 32_000, dtype="float32")
    soundfile.write(tmp_path / "sound.wav", samples, rate)
    return tmp_path


def end_of(done):
    (end,) = [event for event in events_of(done) if event["phase"] == "end"]
    return end


def test_an_event_leaves_a_clip_with_its_picture_and_a_row_in_the_store(yard):
    done = clap_monitor("run", *configured(yard), "--json", cwd=yard)
    assert done.returncode == 0, done.stderr
    end = end_of(done)
    clip = yard / "recordings" / end["clip"]
    samples, rate = soundfile.read(clip)
    known = json.loads(clip.with_suffix(".json").read_text())
    assert known["event"]["event_id"] == end["event_id"]
    assert known["audio"]["duration_seconds"] == len(samples) / rate
    assert known["label"]["prompts"] == ["a rooster crowing", "a cock crowing in the morning"]
    assert np.abs(samples).max() > 0.05
    reader = StoreReader(yard / "state" / FILE)
    (kept,) = reader.events().rows
    assert (kept.event_id, kept.clip, kept.clip_outcome) == (end["event_id"], end["clip"], "kept")
    day = reader.day(kept.started_at - 60, kept.started_at + 60)
    assert max(day.lanes[0].peaks) == pytest.approx(kept.peak_score, abs=0.006)
    reader.close()


def test_somebody_who_speaks_nearby_is_not_recorded_unless_that_is_wanted(yard):
    samples, rate = soundfile.read(yard / "sound.wav", dtype="float32")
    words = spoken(rate)
    samples[int(5.5 * rate) : 9 * rate] += words[: 9 * rate - int(5.5 * rate)]
    soundfile.write(yard / "sound.wav", samples, rate)

    end = end_of(clap_monitor("run", *configured(yard), "--json", cwd=yard))
    assert end["clip"] is None
    assert not list(yard.glob("recordings/*/*"))
    reader = StoreReader(yard / "state" / FILE)
    assert [(e.label, e.clip_outcome) for e in reader.events().rows] == [("rooster", "speech")]
    reader.close()

    unguarded = "{enabled: true, free_megabytes: 0, speech_filter: false}"
    end = end_of(clap_monitor("run", *configured(yard, clips=unguarded), "--json", cwd=yard))
    assert (yard / "recordings" / end["clip"]).exists()


@pytest.mark.broker
@pytest.mark.root
def test_on_a_full_disk_events_still_reach_the_broker_and_the_loss_is_said(yard, tmp_path):
    small = small_disk(tmp_path / "small")
    with Broker(tmp_path) as broker, Subscriber(broker) as subscriber, small as place:
        (place / "recordings").mkdir()
        (place / "state").mkdir()
        filler = fill(place)
        options = {
            "mqtt": f"{{host: 127.0.0.1, port: {broker.port}}}",
            "recordings": place / "recordings",
            "state": place / "state",
        }
        done = clap_monitor("run", *configured(yard, **options), "--json", cwd=yard)
        assert done.returncode == 0, done.stderr
        phases = [json.loads(text)["phase"] for text in subscriber.wait_for(EVENT, count=2)]
        assert phases == ["start", "end"]
        assert "store: " in done.stderr
        assert "changes are kept in memory only" in done.stderr
        assert "clips: the disk is full: none can be written" in done.stderr
        assert not list(place.glob("recordings/*/*"))

        filler.unlink()
        done = clap_monitor("run", *configured(yard, **options), "--json", cwd=yard)
        assert done.returncode == 0, done.stderr
        assert "none can be written" not in done.stderr
        reader = StoreReader(place / "state" / FILE)
        assert [event.clip_outcome for event in reader.events().rows] == ["kept"]
        reader.close()
