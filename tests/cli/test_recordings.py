"""The commands about recordings, as they are used: batches, names, lengths."""

import os
import subprocess

import numpy as np
import pytest
import soundfile

from tests.support.command_line import COMMAND, ENVIRONMENT, clap_monitor, events_of

RATE = 32_000
NAME = os.fsdecode(b"caf\xe9.wav")
NOISE = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bad.wav").write_text("no sound")
    soundfile.write(tmp_path / "good.wav", NOISE, RATE)
    (tmp_path / NAME).write_bytes((tmp_path / "good.wav").read_bytes())
    return tmp_path


def test_one_bad_file_does_not_end_classify(folder):
    done = clap_monitor(
        "classify", NAME, "bad.wav", "none.wav", "good.wav", "-l", "a", "-l", "b", "--json", cwd=folder
    )
    assert done.returncode == 65
    assert [line["file"] for line in events_of(done)] == ["caf\ufffd.wav", "good.wav"]
    assert [line.split(": ")[1] for line in done.stderr.splitlines()[:2]] == ["bad.wav", "none.wav"]


def test_one_bad_file_does_not_end_embed_and_out_holds_the_others(folder):
    done = clap_monitor("embed", "good.wav", "bad.wav", NAME, "--out", "rows.npy", cwd=folder)
    assert done.returncode == 65
    assert "bad.wav" in done.stderr
    rows = np.load(folder / "rows.npy")
    assert np.array_equal(rows[0], rows[1])


def test_a_single_file_ends_with_its_own_error(folder):
    assert clap_monitor("classify", "none.wav", "-l", "a", cwd=folder).returncode == 66
    assert clap_monitor("classify", "bad.wav", "-l", "a", cwd=folder).returncode == 65


def test_a_place_that_cannot_be_written_is_refused_before_the_work(folder):
    done = clap_monitor("embed", "good.wav", "--out", "none/rows.npy", "--json", cwd=folder)
    assert (done.returncode, done.stdout) == (73, "")


@pytest.mark.parametrize("locale", ["C.UTF-8", "POSIX"])
def test_names_that_are_not_utf_8_are_printed(folder, locale):
    done = clap_monitor(
        "classify",
        NAME,
        "-l",
        "a",
        "-l",
        "b",
        cwd=folder,
        env={"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("caf")


def test_run_replays_a_file_whose_name_is_not_utf_8(folder):
    done = clap_monitor("run", "--source", NAME, "--fast", "-l", "rain", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_long_recording_takes_no_more_memory_than_a_short_one(tmp_path):
    soundfile.write(tmp_path / "short.flac", np.zeros(RATE, np.int16), RATE)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 1) as file:
        for _ in range(30):
            file.write(np.zeros(30 * RATE, np.int16))
    assert (tmp_path / "long.flac").stat().st_size < 300_000

    def peak(name):
        script = (
            "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]).returncode; "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done)"
        )
        arguments = [COMMAND[0], "-c", script, *COMMAND, "embed", name]
        done = subprocess.run(arguments, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
        return int(done.stdout.split()[-1]) / 1024

    assert peak("long.flac") < peak("short.flac") + 60
