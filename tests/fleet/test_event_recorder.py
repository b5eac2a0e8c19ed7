"""Events of a fleet in files: whole, bounded, and none lost."""

import json
import shutil

import duckdb
import pytest

from monitor.fleet.event_recorder import EventRecorder
from monitor.types import ConfigError, OutputError
from tests.support.fleet_nodes import event


def some(*numbers):
    return [event(event_id=f"{number:03d}", received_at=1_795_435_204.25) for number in numbers]


def lines(directory):
    text = "".join(path.read_text() for path in sorted(directory.glob("*.jsonl")))
    return [json.loads(line)["event_id"] for line in text.splitlines()]


def files(directory):
    return sorted(path.name for path in directory.iterdir())


def test_files_are_full_numbered_and_whole(tmp_path):
    with EventRecorder(tmp_path / "e.jsonl", file_events=3) as recorder:
        recorder.add(some(1, 2))
        recorder.add(some(3, 4))
        recorder.add([])
        recorder.add(some(5))
        assert files(tmp_path) == ["e-000001.jsonl", "e.open"]
    assert files(tmp_path) == ["e-000001.jsonl", "e-000002.jsonl"]
    assert lines(tmp_path) == ["001", "002", "003", "004", "005"]
    with EventRecorder(tmp_path / "e.jsonl") as recorder:
        recorder.add(some(6))
    assert lines(tmp_path)[-1] == "006"


def test_a_file_is_finished_when_it_is_old(tmp_path):
    with EventRecorder(tmp_path / "e.jsonl", file_seconds=0.0) as recorder:
        recorder.add(some(1))
        assert lines(tmp_path) == ["001"]


def test_what_a_killed_recorder_had_is_there_after_the_next_start(tmp_path):
    recorder = EventRecorder(tmp_path / "e.jsonl")
    recorder.add(some(1, 2))
    (tmp_path / "dead").mkdir()
    with (tmp_path / "e.open").open("ab") as file:
        file.write(b'{"event_id": "cut')
    shutil.copy(tmp_path / "e.open", tmp_path / "dead" / "e.open")
    with EventRecorder(tmp_path / "dead" / "e.parquet") as again:
        again.add(some(3))
    found = duckdb.read_parquet(f"{tmp_path}/dead/e-*.parquet").order("event_id").fetchall()
    assert [row[2] for row in found] == ["001", "002", "003"]
    recorder.__exit__()


def test_parquet_has_the_keys_of_an_event_as_columns_whatever_somebody_published(tmp_path):
    odd = event(event_id="odd", windows="many", level_dbfs=None, late=1, started_at=1e300, reason=[])
    with EventRecorder(tmp_path / "e.parquet") as recorder:
        recorder.add([*some(1), odd])
    table = duckdb.read_parquet(f"{tmp_path}/e-000001.parquet").order("event_id")
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.fetchall())
    assert (first["node"], first["label"], first["windows"]) == ("hall", "dog", 2)
    assert first["started_at"].timestamp() == pytest.approx(1_795_435_203.4)
    assert first["received_at"].timestamp() == pytest.approx(1_795_435_204.25)
    assert (first["clock_synchronised"], first["clock_error_seconds"]) == (True, 0.01)
    assert [second[key] for key in ("windows", "level_dbfs", "late", "started_at", "reason")] == [None] * 5


def test_nothing_is_written_through_a_link_and_a_name_may_have_brackets(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "e.open").symlink_to(victim)
    with pytest.raises(OutputError, match="is a symbolic link"):
        EventRecorder(tmp_path / "e.jsonl")
    (tmp_path / "f-000001.part").symlink_to(victim)
    with (
        pytest.raises(OutputError, match="is a symbolic link"),
        EventRecorder(tmp_path / "f.jsonl") as recorder,
    ):
        recorder.add(some(1))
    assert victim.read_text() == "precious"
    for number in (1, 2):
        with EventRecorder(tmp_path / "a[1].jsonl") as recorder:
            recorder.add(some(number))
    assert len(list(tmp_path.glob("a*-00000[12].jsonl"))) == 2


def test_two_recorders_of_one_name_and_other_kinds_of_file_are_refused(tmp_path):
    with (
        EventRecorder(tmp_path / "e.jsonl"),
        pytest.raises(ConfigError, match="another process is writing to it"),
    ):
        EventRecorder(tmp_path / "e.jsonl")
    with pytest.raises(ConfigError, match=r"must end with \.jsonl or \.parquet"):
        EventRecorder(tmp_path / "e.csv")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        EventRecorder(tmp_path / "file" / "e.jsonl")
