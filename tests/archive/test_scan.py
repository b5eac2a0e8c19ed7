"""The command over files, beside `run --fast`; and over what is no sound."""

import json
import os
import re
import signal
import struct
import time
from pathlib import Path

import duckdb
import numpy as np
import psutil
import pytest
import soundfile

from tests.support.command_line import ROOT, clap_monitor, events_of, start

CONFIG = ROOT / "config/demo.yaml"


def rows(out, table, columns="*", order="file"):
    """Rows of a table of the results, in order."""
    return duckdb.read_parquet(f"{out}/{table}/*.parquet").order(order).project(columns).fetchall()


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A folder of sound files, good and bad, and its results."""
    folder = tmp_path_factory.mktemp("archive")
    samples, rate = soundfile.read(ROOT / "recordings/demo.flac", frames=20 * 32_000)
    garden = folder / "in/garden"
    garden.mkdir(parents=True)
    soundfile.write(garden / "20240131_063000.WAV", samples, rate)
    content = (garden / "20240131_063000.WAV").read_bytes()
    soundfile.write(garden / "short.wav", samples[: rate // 2], rate)
    (garden / "cut.wav").write_bytes(content[: len(content) // 2])
    (garden / "empty.wav").touch()
    (garden / "text.mp3").write_text("no sound")
    huge = bytearray(content)
    huge[40:44] = struct.pack("<I", 0x7FFFFFF0)
    (garden / "huge.wav").write_bytes(huge)
    (garden / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(garden / "pipe.wav")
    (garden / os.fsdecode(b"\xff.flac")).write_bytes(b"fLaC")
    done = clap_monitor(
        "scan",
        folder / "in",
        "--out",
        folder / "out",
        "--config",
        CONFIG,
        "--embeddings",
        "--processes",
        1,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_events_are_those_of_a_fast_run(scanned):
    recording = scanned / "in/garden/20240131_063000.WAV"
    run = clap_monitor("run", "--config", CONFIG, "--source", recording, "--fast", "--json", cwd=scanned)
    keys = (
        "label",
        "onset_seconds",
        "offset_seconds",
        "score",
        "peak_score",
        "windows",
        "level_dbfs",
        "reason",
    )
    expected = [[event[key] for key in keys] for event in events_of(run) if event["phase"] == "end"]
    found = rows(scanned / "out", "events", f"file, {', '.join(keys)}", "onset_seconds")
    assert [row for file, *row in found if file == str(recording)] == expected
    assert expected


def test_results_do_not_depend_on_what_is_scanned_at_the_same_time(scanned):
    recording, out = scanned / "in/garden/20240131_063000.WAV", scanned / "alone"
    done = clap_monitor("scan", recording, "--out", out, "--config", CONFIG, "--embeddings", cwd=scanned)
    assert done.returncode == 0, done.stderr
    found = {path.relative_to(out): path.read_bytes() for path in out.glob("*/*-*.parquet")}
    assert len(found) == 3
    assert found == {name: (scanned / "out" / name).read_bytes() for name in found}


def test_a_process_that_dies_costs_no_other_recording(scanned, tmp_path):
    sound = (scanned / "in/garden/20240131_063000.WAV").read_bytes()
    for number in range(4):
        (tmp_path / f"{number}.wav").write_bytes(sound)
    options = ["--out", "out", "--label", "a dog", "--processes", 1, "--embeddings"]
    process = start("scan", *sorted(tmp_path.glob("*.wav")), *options, cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("out/drafts/*.embeddings")):
        time.sleep(0.01)
    for worker in psutil.Process(process.pid).children():
        if "spawn_main" in " ".join(worker.cmdline()):
            worker.kill()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert rows(tmp_path / "out", "files", "outcome") == [("whole",)] * 4


def test_each_bad_file_is_a_row_with_its_reason(scanned):
    garden = scanned / "in/garden"
    report = rows(scanned / "out", "files", "file, outcome, reason")
    found = {
        file.removeprefix(f"{garden}/"): (outcome, reason and reason.split(",")[0])
        for file, outcome, reason in report
    }
    assert found == {
        "20240131_063000.WAV": ("whole", None),
        "short.wav": ("whole", "is shorter than a window of 1 s"),
        "cut.wav": ("partly", "holds 10.0 s of the 20.0 s that its header claims"),
        "huge.wav": ("partly", "holds 20.0 s of the 33554.4 s that its header claims"),
        "empty.wav": ("failed", "is not a sound file that FFmpeg supports"),
        "text.mp3": ("failed", "is not a sound file that FFmpeg supports"),
        "loop.wav": ("failed", "Too many levels of symbolic links"),
        "pipe.wav": ("failed", "is a pipe"),
        "�.flac": ("failed", "ends before its first sample"),
    }


def test_the_report_says_when_a_recording_began_and_how_that_is_known(scanned):
    columns = "strftime(started_at, '%H:%M:%S'), time_from, seconds, windows, source"
    assert ("06:30:00", "audiomoth", 20.0, 39, "garden") in rows(scanned / "out", "files", columns)


def test_what_is_done_is_not_done_again(scanned):
    out = scanned / "out"
    before = {
        path: path.stat().st_mtime_ns for path in out.glob("*/*-*.parquet") if "failed" not in path.name
    }
    done = clap_monitor("scan", scanned / "in", "--out", out, "--config", CONFIG, "--embeddings", cwd=scanned)
    assert done.returncode == 0, done.stderr
    assert "4 of 9 recordings are done already" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_ctrl_c_leaves_what_is_done(scanned, tmp_path):
    samples, rate = soundfile.read(scanned / "in/garden/20240131_063000.WAV")
    for number, times in enumerate((1, 15, 15)):
        soundfile.write(tmp_path / f"{number}.wav", np.tile(samples, times), rate)
    options = ["--out", "out", "--label", "a dog", "--processes", 1]
    process = start("scan", *sorted(tmp_path.glob("*.wav")), *options, cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob("out/files/*-*.parquet")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    done = rows(tmp_path / "out", "files", "outcome")
    assert 1 <= len(done) < 3
    assert set(done) == {("whole",)}
    assert [path.name for path in (tmp_path / "out/drafts").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.wav"], 66, "missing.wav: No such file or directory"),
        (["."], 66, ".: holds no sound files"),
        (["*.wav"], 66, "*.wav: there is no such file"),
        (["text.mp3", "--time-zone", "Mars"], 78, "'Mars' is not the name of a time zone"),
    ],
)
def test_what_cannot_be_scanned_is_said(arguments, code, words, tmp_path):
    if arguments[0] == "text.mp3":
        (tmp_path / "text.mp3").write_text("no sound")
    done = clap_monitor("scan", *arguments, "--out", "out", "--label", "a dog", cwd=tmp_path)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


def test_the_results_say_what_they_come_from(scanned):
    about = json.loads((scanned / "out/scan.json").read_text())
    assert (about["schema"], about["model"], about["embeddings"]) == (1, "starter", True)


def test_a_replay_of_the_embeddings_gives_the_events_again(scanned):
    done = clap_monitor("replay", "--archive", scanned / "out", "--config", CONFIG, "--json", cwd=scanned)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["outcome"] for each in found} == {"both"}, done.stderr
    assert len(found) == len(rows(scanned / "out", "events"))
    peaks = rows(scanned / "out", "events", "peak_score", "started_at, label")
    assert [each["peak_score"] for each in found] == [peak for (peak,) in peaks]


def test_a_search_names_the_recording_and_the_place_in_it(scanned):
    done = clap_monitor(
        "search", "a helicopter", "--archive", scanned / "out", "--json", "--top", 1, cwd=scanned
    )
    best = json.loads(done.stdout)
    assert Path(best["file"]).parent == scanned / "in/garden"
    assert 0 <= best["onset_seconds"] <= 20


def test_a_sound_like_another_is_found_in_the_recording_that_has_it(scanned):
    samples, rate = soundfile.read(scanned / "in/garden/20240131_063000.WAV", start=64_000, frames=96_000)
    soundfile.write(scanned / "part.wav", samples, rate)
    arguments = ["part.wav", "--archive", scanned / "out", "--top", 3, "--json"]
    done = clap_monitor("similar", *arguments, cwd=scanned)
    best, *_ = found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {Path(each["file"]).parent for each in found} == {scanned / "in/garden"}, done.stderr
    # of the copies in the folder, each has it at the same place
    assert best["onset_seconds"] <= 5
    assert best["fit"] > 3
    unlike = clap_monitor("similar", *arguments, "--source", "attic", cwd=scanned)
    assert unlike.stderr == "--source: nothing is remembered of 'attic'; only of garden\n"


def test_what_a_label_is_worth_is_counted_in_an_archive(scanned):
    samples, rate = soundfile.read(scanned / "in/garden/20240131_063000.WAV")
    for number in range(3):
        begin = 64_000 + 16_000 * number
        soundfile.write(scanned / f"{number}.wav", samples[begin : begin + 64_000], rate)
    files = [f"{number}.wav" for number in range(3)]
    arguments = ["rotor", "--from", *files, "--archive", scanned / "out", "--dry-run"]
    done = clap_monitor("learn", *arguments, "--json", cwd=scanned)
    learned = json.loads(done.stdout)
    assert learned["new"] == 3
    assert learned["history"]["events"] >= 2  # in the copies of the recording
    windows = sum(scored for (scored,) in rows(scanned / "out", "files", "scored"))
    assert learned["history"]["hours"] == pytest.approx(windows * 0.5 / 3600)
    assert not (scanned / "state/overrides.json").exists()  # nothing is changed
    refused = clap_monitor(
        "learn", "rotor", "--from", "0.wav", "--archive", scanned, "--dry-run", cwd=scanned
    )
    assert "has no embeddings: they are written by scan --embeddings --out" in refused.stderr


def test_thresholds_come_from_an_archive_too(scanned):
    arguments = ["--archive", scanned / "out", "--config", CONFIG, "--target", "10/hour", "--json"]
    done = clap_monitor("thresholds", *arguments, cwd=scanned)
    assert {json.loads(line)["source"] for line in done.stdout.splitlines()} == {"garden"}, done.stderr
    refused = clap_monitor("thresholds", *arguments, "--apply", cwd=scanned)
    assert "--archive only shows thresholds" in refused.stderr


PYTHON = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/scan.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", PYTHON)
def test_the_examples_of_the_docs_work(text, scanned, monkeypatch, capsys):
    monkeypatch.chdir(scanned)
    if not (scanned / "results").exists():
        (scanned / "results").symlink_to("out")
    exec(text, {})  # noqa: S102 - our own documentation
    assert len(capsys.readouterr().out.splitlines()) > 1
