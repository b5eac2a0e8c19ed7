"""Bad input: one clear line, the right exit code, and nothing is lost that was good."""

import contextlib
import json
import os
import re
import shutil
import socketserver
import sqlite3
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.outputs.store import FILE, StoreReader
from tests.support.command_line import COMMAND, ENVIRONMENT, ROOT, clap_monitor, windows_in

RATE = 48_000
DEMO = ROOT / "recordings/demo.flac"
STARTER = ROOT / "monitor/starter"


def run(directory, source, *arguments, **options):
    return clap_monitor(
        "run", "--source", source, "--label", "a dog barking", "--fast", *arguments, cwd=directory, **options
    )


def lines(done):
    """Lines on standard error that are no log of an ordinary event."""
    return [line for line in done.stderr.splitlines() if " INFO " not in line]


def noise(seconds=7.0, channels=1):
    return 0.1 * np.random.default_rng(0).standard_normal((int(seconds * RATE), channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "make", "code", "words"),
    [
        ("none.wav", lambda _: None, 66, "none.wav: no such file"),
        ("text.wav", lambda path: path.write_text("not audio\n" * 400), 65, "text.wav: "),
        ("empty.wav", lambda path: path.touch(), 65, "empty.wav: "),
        ("folder.wav", lambda path: path.mkdir(), 66, "folder.wav: "),
        ("zero.wav", lambda path: soundfile.write(path, noise(0), RATE), 65, "zero.wav: "),
    ],
)
def test_a_source_that_is_no_audio_is_one_line(tmp_path, name, make, code, words):
    make(tmp_path / name)
    done = run(tmp_path, tmp_path / name)
    assert done.returncode == code
    assert done.stdout == ""
    (line,) = lines(done)
    assert line.startswith("clap-monitor: ")
    assert words in line.lower()


def test_no_such_device_is_one_line(tmp_path):
    done = run(tmp_path, "no-such-microphone")
    assert done.returncode == 66
    (line,) = lines(done)
    assert "no_such_microphone" in line


def test_files_of_every_common_format_are_heard_side_by_side(tmp_path):
    formats = {
        "8-bit.wav": ("PCM_U8", 1),
        "24-bit.wav": ("PCM_24", 2),
        "float.wav": ("FLOAT", 1),
        "double.wav": ("DOUBLE", 2),
        "six.wav": ("PCM_16", 6),
        "lossy.ogg": ("VORBIS", 2),
        "lossless.flac": ("PCM_16", 1),
    }
    sources = []
    for name, (subtype, channels) in formats.items():
        soundfile.write(tmp_path / name, noise(channels=channels), RATE, subtype=subtype)
        sources += ["--source", tmp_path / name]
    done = run(tmp_path, *sources[1:])
    assert done.returncode == 0, done.stderr
    assert lines(done)[-1].startswith(f"49.0 s of audio, {7 * windows_in(7.0)} windows, 0 events")


def test_samples_that_are_no_numbers_are_counted_and_the_rest_is_heard(tmp_path):
    samples = noise(12.0)
    samples[: RATE // 2] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE, subtype="FLOAT")
    done = run(tmp_path, tmp_path / "nan.wav")
    assert done.returncode == 0, done.stderr
    windows, left_out = map(
        int, re.search(r"(\d+) windows.*, 0 events.* (\d+) windows gated", lines(done)[-1]).groups()
    )
    assert windows + left_out == windows_in(12.0)
    assert "gated (non finite)" in lines(done)[-1]
    assert 1 <= left_out < windows  # noise is much the same from window to window


def test_a_file_shorter_than_a_window_says_that_nothing_was_scored(tmp_path):
    soundfile.write(tmp_path / "short.wav", noise(0.5), RATE)
    done = run(tmp_path, tmp_path / "short.wav")
    assert done.returncode == 0
    assert any("shorter than one window" in line for line in lines(done))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: [file.unlink() for file in path.iterdir()], "config.json"),
        (lambda path: (path / "model.safetensors").unlink(), "model.safetensors"),
        (
            lambda path: os.truncate(path / "model.safetensors", 4_000_000),
            "model.safetensors",
        ),
        (
            lambda path: (path / "config.json").write_text(json.dumps({"model_type": "bert"})),
            "bert",
        ),
    ],
    ids=["empty", "no weights", "truncated weights", "another model"],
)
def test_a_directory_that_is_no_checkpoint_is_one_line(tmp_path, spoil, words):
    place = tmp_path / "checkpoint"
    shutil.copytree(STARTER, place)
    spoil(place)
    soundfile.write(tmp_path / "noise.wav", noise(), RATE)
    done = run(tmp_path, tmp_path / "noise.wav", "--model", place)
    assert done.returncode == 65
    (line,) = lines(done)
    assert str(place) in line
    assert words in line


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path):
    soundfile.write(tmp_path / "noise.wav", noise(), RATE)
    done = run(tmp_path, tmp_path / "noise.wav", "--model", "laion/larger_clap_general",
               env={"HF_HOME": str(tmp_path / "hf")})  # fmt: skip
    assert done.returncode == 69
    (line,) = lines(done)
    assert "laion/larger_clap_general" in line
    assert "--model starter" in line


def test_an_unknown_key_is_one_line_with_its_place(tmp_path):
    (tmp_path / "own.yaml").write_text("node: home\nlable: []\n")
    done = clap_monitor("run", "--config", "own.yaml", cwd=tmp_path)
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert line.startswith("own.yaml:2: lable: ")
    assert "labels" in line


def test_a_port_that_is_not_mqtt_is_one_line_and_undelivered_events_are_kept(tmp_path):
    class Talk(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(100)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        (tmp_path / "own.yaml").write_text(f"mqtt: {{host: 127.0.0.1, port: {port}}}\n")
        done = clap_monitor(
            "run", "--config", "own.yaml", "--source", DEMO, "--label", "a rooster crowing", "--fast",
            cwd=tmp_path,
        )  # fmt: skip
        server.shutdown()
    assert done.returncode == 69
    assert f"127.0.0.1:{port}" in lines(done)[-1]
    with contextlib.closing(QueueFile(tmp_path / "state" / "outbox.sqlite")) as queue_file:
        assert f"{queue_file.count} messages were not delivered" in lines(done)[-1]
    assert sum("does not speak MQTT" in line for line in lines(done)[:-1]) == 1


def without_privileges(directory, *arguments):
    """Run as somebody to whom file permissions apply, which they do not to root."""
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*prefix, *COMMAND, *map(str, arguments)],
        cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip


def test_a_file_without_permission_is_one_line(tmp_path):
    soundfile.write(tmp_path / "secret.wav", noise(), RATE)
    (tmp_path / "secret.wav").chmod(0)
    done = without_privileges(tmp_path, "run", "--source", "secret.wav", "--label", "a dog", "--fast")
    assert done.returncode == 66
    (line,) = lines(done)
    assert "secret.wav: permission denied" in line.lower()


@pytest.mark.parametrize("key", ["state", "recordings"])
def test_a_directory_without_permission_is_one_line(tmp_path, key):
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "own.yaml").write_text(f"clips: {{enabled: true}}\n{key}: locked/below\n")
    done = without_privileges(tmp_path, "run", "--config", "own.yaml")
    assert done.returncode == 73
    (line,) = lines(done)
    assert line == (
        "clap-monitor: locked/below: cannot be written: Permission denied; "
        f"set `{key}` to a directory that is writable"
    )


def test_a_full_disk_for_recordings_is_logged_and_events_go_on(tmp_path, full_disk):
    (tmp_path / "own.yaml").write_text(f"clips: {{enabled: true}}\nrecordings: {full_disk}\n")
    done = clap_monitor(
        "run", "--config", "own.yaml", "--source", DEMO, "--label", "a rooster crowing", "--fast",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "start  a rooster crowing" in done.stdout
    said = [line.partition(": ")[2] for line in lines(done) if " ERROR " in line]
    assert said == [
        f"{full_disk}: cannot be written: No space left on device",
        "clips: less than 500 MB are free: none can be written",
    ]


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_database_locked_by_another_program_ends_no_run(tmp_path, mode):
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "state" / "history.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {mode}")
        other.execute("BEGIN EXCLUSIVE")
        done = clap_monitor(
            "run", "--source", DEMO, "--label", "a rooster crowing", "--fast", cwd=tmp_path
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "start  a rooster crowing" in done.stdout
    assert "database is locked: changes are kept in memory only" in done.stderr
    assert "changes are lost: cannot be used: database is locked" in done.stderr


@pytest.mark.parametrize("stderr", ["/dev/full", "/dev/null"])
def test_a_full_disk_behind_standard_output_and_error_ends_no_run(tmp_path, stderr):
    with Path("/dev/full").open("w") as full, Path(stderr).open("w") as errors:
        arguments = ["run", "--source", str(DEMO), "--label", "a rooster crowing", "--fast"]
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, env=ENVIRONMENT, stdout=full, stderr=errors, check=False,
            timeout=600,
        )  # fmt: skip
    assert done.returncode == 0
    with contextlib.closing(StoreReader(tmp_path / "state" / FILE)) as history:
        assert [event.reason for event in history.events().rows] == ["quiet"]
