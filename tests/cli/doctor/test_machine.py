import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from monitor.cli.doctor.machine import clock, database, directory, others_may_read, permissions
from monitor.daemon.control_socket import ControlSocket
from monitor.outputs.mqtt.queue_file import QueueFile
from monitor.types import ExitCode
from tests.support.unprivileged import as_nobody


@pytest.fixture
def cards(tmp_path):
    """Two cards that record, and one that only plays."""
    for name in ("pcmC0D0c", "pcmC1D0c", "pcmC0D0p", "controlC0"):
        (tmp_path / name).touch()
    return tmp_path


def test_sound_cards_that_nobody_lets_us_open_are_a_failure_that_names_the_group(cards):
    found = permissions(cards, lambda _: False)
    assert (found.state, found.exit_code) == ("FAIL", ExitCode.PERMISSION)
    assert "pcmC0D0c" in found.text
    assert "audio" in found.fix


def test_one_card_that_may_be_opened_is_enough(cards):
    found = permissions(cards, lambda path: path.name == "pcmC1D0c")
    assert (found.state, found.text) == ("ok", "1 of 2 sound cards can be opened")


def test_a_machine_without_a_card_may_have_a_sound_server(tmp_path):
    assert permissions(tmp_path / "none").state == "ok"


def test_a_directory_that_can_be_written_is_left_as_it_was(tmp_path):
    found = directory("state", tmp_path, megabytes=0)
    assert found.state == "ok"
    assert str(tmp_path) in found.text
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_there_is_not_made(tmp_path):
    found = directory("state", tmp_path / "a/b", megabytes=0)
    assert found.state == "ok"
    assert f"will be created in {tmp_path}" in found.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["file", "file/state"])
def test_what_is_no_directory_is_a_failure_that_names_the_key(tmp_path, path):
    (tmp_path / "file").write_text("")
    found = directory("state", tmp_path / path, megabytes=0)
    assert found.exit_code == ExitCode.OUTPUT
    assert "state" in found.text + found.fix


def test_too_little_room_is_a_warning(tmp_path):
    found = directory("recordings", tmp_path, megabytes=10**12)
    assert found.state == "warn"
    assert "MB free" in found.text


def test_a_full_disk_is_a_failure(full_disk):
    found = directory("state", full_disk, megabytes=100)
    assert (found.exit_code, found.text) == (ExitCode.OUTPUT, f"{full_disk}: the disk is full")


@pytest.mark.parametrize("year", [0.0, 9e9])
def test_a_clock_that_cannot_be_right_is_a_failure(year):
    assert clock(lambda: year).exit_code == ExitCode.CLOCK


@pytest.mark.parametrize(("is_set", "state"), [(True, "ok"), (None, "ok"), (False, "warn")])
def test_a_clock_that_nothing_sets_is_a_warning(is_set, state):
    found = clock(lambda: 1_795_435_203.0, lambda: is_set)
    assert found.state == state
    assert "2026-11-23 12:00:03 UTC" in found.text


def test_this_machine_has_a_clock():
    assert clock().exit_code == 0
    assert permissions(Path("/dev/snd")).check == "permissions"


def test_below_a_directory_that_is_closed_to_us_nothing_can_be_made(public):
    (public / "private").mkdir(0o700)
    with as_nobody():
        found = directory("state", public / "private/state", megabytes=0)
    assert found.exit_code == ExitCode.OUTPUT
    assert f"cannot be created in {public}/private" in found.text


def test_a_database_that_another_program_has_locked_is_a_failure(tmp_path):
    path = tmp_path / "history.sqlite"
    assert database("state", path).state == "ok"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE a (b)")
        assert database("state", path).state == "ok"
        other.execute("BEGIN EXCLUSIVE")
        found = database("state", path)
    assert found.exit_code == ExitCode.OUTPUT
    assert "database is locked; data would be kept in memory only" in found.text


def test_a_database_that_a_monitor_has_is_well(tmp_path):
    path = tmp_path / "outbox.sqlite"
    control = ControlSocket(tmp_path, {})
    assert control.open()
    with closing(QueueFile(path)):
        assert database("state", path).text.endswith("in use by a running clap-monitor")
    control.close()


def test_a_damaged_database_is_a_warning_and_stays_as_it_is(tmp_path):
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"noise" * 1000)
    found = database("state", path)
    assert (found.state, path.read_bytes()) == ("warn", b"noise" * 1000)


@pytest.mark.parametrize(("mode", "state"), [(0o700, None), (0o755, "warn"), (0o750, "warn")])
def test_a_directory_that_others_may_look_into_is_a_warning(tmp_path, mode, state):
    tmp_path.chmod(mode)
    found = others_may_read("state", tmp_path)
    assert (found and found.state) == state
