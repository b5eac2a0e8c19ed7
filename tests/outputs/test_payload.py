import json
import math
from dataclasses import replace

import pytest

from monitor.config import LabelConfig
from monitor.outputs.payload import (
    as_json,
    attributes_payload,
    event_message,
    interrupted,
    iso,
    seconds_in_source,
    stamped,
)
from monitor.system.clock_sync import ClockSync
from tests.support.events import event

GLASS = LabelConfig(
    id="glass",
    name="Glass breaking",
    prompts=("the sound of glass shattering", "a window breaks"),
    threshold=0.6,
)
START = event(
    "glass",
    id="01JDABCDEFGHJKMNPQRSTVWXYZ",
    source="mic0",
    start=48_000,
    at=1795435203.412,
    peak_score=0.91,
    uncertainty_seconds=2.5,
)
END = replace(START, stop=72_000, ended_at=1795435208.412, peak_score=0.95, windows=5, reason="quiet")


def say(event, **changes):
    return event_message(
        event,
        **{
            "node": "livingroom",
            "label": GLASS,
            "model": "laion/larger_clap_general",
            "published_at": 1795435204.1,
            "clock": ClockSync(synchronised=True, error_seconds=0.0123456),
        }
        | changes,
    )


def test_the_start_of_an_event_has_exactly_these_fields():
    assert say(START) == {
        "schema": 1,
        "event_id": "01JDABCDEFGHJKMNPQRSTVWXYZ",
        "phase": "start",
        "source": "mic0",
        "label": "glass",
        "label_name": "Glass breaking",
        "started_at": 1795435203.412,
        "ended_at": None,
        "duration_seconds": None,
        "uncertainty_seconds": 2.5,
        "score": 0.83,
        "peak_score": 0.91,
        "windows": 2,
        "level_dbfs": -18.2,
        "reason": None,
        "clip": None,
        "clip_outcome": None,
        "event_type": "glass",
        "started_at_iso": "2026-11-23T12:00:03.412Z",
        "node": "livingroom",
        "threshold": 0.6,
        "prompt": "the sound of glass shattering",
        "model": "laion/larger_clap_general",
        "clock_synchronised": True,
        "clock_error_seconds": 0.012346,
        "published_at": 1795435204.1,
        "latency_seconds": 0.688,
        "late": False,
    }


def test_the_end_differs_in_what_is_known_only_then():
    start, end = say(START), say(END, published_at=1795435208.9)
    assert {key: end[key] for key in end if end[key] != start[key]} == {
        "phase": "end",
        "peak_score": 0.95,
        "published_at": 1795435208.9,
        "latency_seconds": 0.488,  # since the end
        "ended_at": 1795435208.412,
        "duration_seconds": 5.0,
        "reason": "quiet",
        "windows": 5,
    }
    assert list(end) == list(start)


def test_numbers_are_rounded_to_what_they_mean():
    event = replace(START, score=0.123456, peak_score=2 / 3, level_dbfs=-18.249, uncertainty_seconds=1 / 3)
    payload = say(event)
    assert (payload["score"], payload["peak_score"]) == (0.123, 0.667)
    assert (payload["level_dbfs"], payload["uncertainty_seconds"]) == (-18.2, 0.333)


@pytest.mark.parametrize("dbfs", [-math.inf, math.nan])
def test_a_level_that_is_no_number_is_null(dbfs):
    assert say(replace(START, level_dbfs=dbfs))["level_dbfs"] is None


def test_json_keeps_letters_and_comes_back_as_it_was():
    text = as_json(say(START, label=GLASS.model_copy(update={"name": "Glasbruch in der Küche"})))
    assert "Glasbruch in der Küche" in text
    assert "\n" not in text
    assert json.loads(text)["started_at"] == 1795435203.412


def test_json_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="JSON"):
        as_json({"score": math.inf})


def test_attributes_leave_out_what_concerns_one_message():
    attributes = attributes_payload(say(END))
    assert set(say(END)) - set(attributes) == {"published_at", "latency_seconds", "late"}
    assert attributes["duration_seconds"] == 5.0


def test_when_it_is_sent_changes_only_what_concerns_one_message():
    payload = say(START)
    stamp = {"published_at": 1795435213.4, "latency_seconds": 9.988, "late": True}
    later = stamped(payload, happened_at=START.started_at, published_at=1795435213.4, late=True)
    assert later == payload | stamp
    assert list(later) == list(payload)


@pytest.mark.parametrize("happened_at", [None, 1795435299.0])
def test_what_happened_at_an_unknown_time_or_by_another_clock_has_no_latency(happened_at):
    later = stamped(say(START), happened_at=happened_at, published_at=1795435213.4, late=True)
    assert later["latency_seconds"] is None


def test_an_event_that_was_broken_off_is_over_and_nobody_says_when():
    start, end = say(START), interrupted(say(START))
    assert {key: end[key] for key in end if end[key] != start[key]} == {"phase": "end", "reason": "restart"}
    assert end["ended_at"] is end["duration_seconds"] is None


def test_seconds_in_a_recording_come_from_sample_indices():
    assert seconds_in_source(START, 48_000) == {"onset_seconds": 1.0, "offset_seconds": None}
    assert seconds_in_source(END, 48_000) == {"onset_seconds": 1.0, "offset_seconds": 1.5}


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1795435203.0, "2026-11-23T12:00:03.000Z"),
        (1795435203.9996, "2026-11-23T12:00:04.000Z"),
        (1795435203.4119999, "2026-11-23T12:00:03.412Z"),
    ],
)
def test_times_are_utc_with_milliseconds(at, text):
    assert iso(at) == text


def test_a_label_that_was_learned_from_examples_alone_has_no_prompt():
    assert say(START, label=LabelConfig(id="glass", examples=True))["prompt"] is None
