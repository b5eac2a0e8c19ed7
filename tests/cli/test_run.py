"""The main job, whole: real recordings through the starter into events, as a user runs it."""

import csv
import json
import os
import signal
import subprocess

import pytest
import soundfile

from tests.support.broker import PATIENCE
from tests.support.command_line import (
    COMMAND,
    ENVIRONMENT,
    ROOT,
    WINDOW,
    clap_monitor,
    events_of,
    start,
    windows_in,
)
from tests.support.odd_media import ogg

DEMO = ROOT / "recordings/demo.flac"


@pytest.fixture(scope="module")
def truth():
    with (ROOT / "recordings/demo.tsv").open() as file:
        return [
            (float(row["onset"]), float(row["offset"]), row["event_label"])
            for row in csv.DictReader(file, delimiter="\t")
        ]


@pytest.fixture(scope="module")
def replay(tmp_path_factory):
    """Return what the demo gives as fast as the model goes."""
    return run_demo(tmp_path_factory.mktemp("run"), DEMO)


def run_demo(directory, recording, *arguments, **options):
    done = clap_monitor(
        "run", "--config", ROOT / "config/demo.yaml", "--source", recording, "--fast", "--json", *arguments,
        cwd=directory, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def heard(done):
    """Label, onset, offset, score and peak of every event: what must not change between replays."""
    keys = ("event_type", "onset_seconds", "offset_seconds", "score", "peak_score", "reason")
    return [tuple(event[key] for key in keys) for event in events_of(done) if event["phase"] == "end"]


def test_the_demo_hears_at_least_four_sounds_and_nothing_that_is_not_there(replay, truth):
    labels = {label for _, _, label in truth}
    found = heard(replay)
    assert len({label for label, *_ in found} & labels) >= 4
    for label, onset, offset, *_ in found:
        near = [t for t in truth if t[2] == label and onset < t[1] + 5 and offset > t[0] - 5]
        assert near, f"{label} at {onset} s is not in the recording"


def test_an_onset_lies_within_a_window_of_the_truth(replay, truth):
    for label, onset, *_ in heard(replay):
        assert min(abs(onset - start) for start, _, known in truth if known == label) <= WINDOW


def test_every_start_has_its_end_and_both_have_the_fields_of_schema_1(replay):
    events = events_of(replay)
    starts = {event["event_id"]: event for event in events if event["phase"] == "start"}
    ends = {event["event_id"]: event for event in events if event["phase"] == "end"}
    assert starts.keys() == ends.keys()
    for start_, end in ((starts[key], ends[key]) for key in starts):
        assert start_["schema"] == end["schema"] == 1
        assert start_["offset_seconds"] is None
        assert end["offset_seconds"] > end["onset_seconds"] == start_["onset_seconds"]
        assert end["peak_score"] >= start_["score"] >= start_["threshold"]
        assert (start_["node"], start_["source"], start_["model"]) == ("demo", "demo", "starter")


def test_the_summary_counts_what_arithmetic_says(replay):
    seconds = soundfile.info(DEMO).duration
    line = replay.stderr.splitlines()[-1]
    events = len(heard(replay))
    assert line.startswith(f"{seconds:.1f} s of audio, ")
    windows = int(line.split(" windows")[0].split()[-1])
    gated = int(line.split("; ")[1].split()[0]) if "gated" in line else 0
    assert windows + gated == windows_in(seconds)
    assert f" {events} events, " in line


def test_every_replay_gives_the_same_events(replay, tmp_path):
    assert heard(run_demo(tmp_path, DEMO)) == heard(replay)


@pytest.mark.parametrize("gain_db", [-20, 10])
def test_a_quieter_or_louder_microphone_hears_the_same(replay, tmp_path, gain_db):
    samples, rate = soundfile.read(DEMO, dtype="float32")
    soundfile.write(tmp_path / "demo.wav", samples * 10 ** (gain_db / 20), rate, subtype="FLOAT")
    other = heard(run_demo(tmp_path, tmp_path / "demo.wav"))
    assert [event[:3] for event in other] == [event[:3] for event in heard(replay)]


def test_raw_samples_on_standard_input_give_what_the_file_gives(replay, tmp_path):
    samples, rate = soundfile.read(DEMO, dtype="int16")
    done = clap_monitor(
        "run", "--config", ROOT / "config/demo.yaml", "--source", "-", "--rate", rate, "--format", "s16le",
        "--fast", "--json", cwd=tmp_path, stdin=samples.tobytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = [event for event in events_of(done) if event["phase"] == "end"]
    assert [event["event_type"] for event in ended] == [label for label, *_ in heard(replay)]


def test_a_label_is_its_own_sentence_and_needs_no_configuration(tmp_path):
    done = clap_monitor(
        "run", "--source", DEMO, "--label", "a rooster crowing", "--label", "glass breaking",
        "--fast", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {event["label_name"] for event in events_of(done)}
    assert "a rooster crowing" in names
    assert "glass breaking" not in names


def test_without_json_every_event_is_a_line_for_people(tmp_path):
    done = clap_monitor("run", "--source", DEMO, "--label", "a rooster crowing", "--fast", cwd=tmp_path)
    first = done.stdout.splitlines()[0]
    assert "start  a rooster crowing" in first
    assert first[2] == ":"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_open_events_and_exits_0(tmp_path, number):
    rate = 32_000
    samples, _ = soundfile.read(DEMO, dtype="int16", start=19 * rate, stop=24 * rate)
    process = start(
        "run", "--config", ROOT / "config/demo.yaml", "--source", "-", "--rate", rate, "--json", "--fast",
        cwd=tmp_path, stdin=subprocess.PIPE,
    )  # fmt: skip
    try:
        raw = process.stdin.buffer
        raw.write(samples.tobytes())
        raw.flush()
        first = json.loads(process.stdout.readline())
        assert first["phase"] == "start"
        process.send_signal(number)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(PATIENCE) == 0
        assert {event["event_id"] for event in rest if event["phase"] == "end"} >= {first["event_id"]}
    finally:
        process.kill()
        process.communicate()


def test_when_the_reader_of_events_goes_away_the_run_ends_well(tmp_path):
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "run", "--source", str(DEMO), "--label", "a rooster crowing", "--fast"],
        cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, env=ENVIRONMENT,
    )  # fmt: skip
    os.close(writing)
    os.close(reading)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


def test_evaluate_finds_what_the_demo_holds_and_draws_it(tmp_path):
    done = clap_monitor(
        "evaluate", ROOT / "recordings/demo.tsv", "--config", ROOT / "config/demo.yaml", "--json",
        "--plot", tmp_path / "curve", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["detection"]["all"]["occurrences"] == 6
    assert report["detection"]["all"]["recall"]["value"] >= 4 / 6
    assert (tmp_path / "curve.png").stat().st_size > 10_000
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")


def test_a_pipe_in_place_of_a_sound_file_is_refused_and_its_writer_lives(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    reader = os.open(tmp_path / "pipe.wav", os.O_RDONLY | os.O_NONBLOCK)
    with (tmp_path / "pipe.wav").open("wb", buffering=0) as writer:
        done = clap_monitor("run", "--source", tmp_path / "pipe.wav", "--label", "a dog", cwd=tmp_path)
        os.close(reader)
        with pytest.raises(BrokenPipeError):  # until now it had a reader: ours
            writer.write(b"RIFF")
    assert done.returncode == 66
    assert "is a pipe" in done.stderr
    assert "--source -" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recording_that_is_piped_without_fast_is_heard_as_a_whole(tmp_path):
    rate = 32_000
    samples, _ = soundfile.read(DEMO, dtype="int16", stop=14 * rate)
    done = clap_monitor(
        "run", "--source", "-", "--rate", rate, "--label", "a dog barking",
        cwd=tmp_path, stdin=samples.tobytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    assert "with --fast" in done.stderr


def test_a_source_that_fails_on_the_way_does_not_end_the_others(replay, tmp_path):
    good, bad = ogg(48_000, 1, "VORBIS"), bytearray(ogg(44_100, 1, "VORBIS"))
    bad[58:] = bytes(len(bad) - 58)
    (tmp_path / "broken.ogg").write_bytes(good + bytes(bad))
    done = clap_monitor(
        "run", "--config", ROOT / "config/demo.yaml", "--source", tmp_path / "broken.ogg", "--source", DEMO,
        "--fast", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode in {65, 66}
    assert "source broken has failed" in done.stderr
    assert "Traceback" not in done.stderr
    ended = [event for event in events_of(done) if event["phase"] == "end" and event["source"] == "demo"]
    assert [event["event_type"] for event in ended] == [label for label, *_ in heard(replay)]
