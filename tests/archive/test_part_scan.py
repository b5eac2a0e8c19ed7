"""Single recordings, on this disk and in a bucket, through an engine of two tones."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from moto.server import ThreadedMotoServer

from monitor.archive.archive_reader import ArchiveReader
from monitor.archive.batched_encoder import BatchedEncoder
from monitor.archive.part_scan import Scanner, scan_part
from monitor.archive.recording_list import list_recordings
from monitor.archive.report_row import failed_part
from monitor.archive.results import opened
from monitor.archive.scanners import batches_are_exact
from monitor.archive.tables import FILES, Origin
from monitor.config import Config
from monitor.memory.source_replay import SourceReplay, Watchlist
from monitor.types import ConfigError, OutputError
from tests.support.two_pitches import CONFIG, ENGINE, MEL_CONFIG, RULES, write

MODEL = SimpleNamespace(name="two tones", identity="two", mel_config=MEL_CONFIG, dimension=3, device="cpu")
ORIGIN = Origin("two tones", "two", "settings")
TONES = ("low", 5, 8), ("high", 15, 17), ("low", 30, 39)


@pytest.fixture
def scanner():
    assert isinstance(CONFIG, Config)
    return Scanner(CONFIG, replace(ENGINE, model=MODEL), ORIGIN, embeddings=True)


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on this machine, with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("archive")
    yield files
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def table(draft, name, *without):
    """Rows of a table of a part."""
    rows = pq.read_table(draft.tables[name]).to_pylist()
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


@pytest.fixture
def hall(tmp_path):
    folder = tmp_path / "in/hall"
    folder.mkdir(parents=True)
    return folder


def test_a_replay_of_the_embeddings_gives_the_same_events(scanner, hall, tmp_path):
    write(hall / "20240131_063000.wav", 40, *TONES)
    write(hall / "20240131_064000.wav", 40, ("high", 0, 3), ("high", 36, 40))
    with opened(tmp_path / "out") as results:
        results.settle(ORIGIN, 3, embeddings=True)
        for recording in list_recordings([str(hall)]):
            results.commit(scan_part(recording, scanner, results.drafts))
    reader = ArchiveReader(tmp_path / "out", "two")
    replay = SourceReplay(reader, "hall", ENGINE.calibration, lambda *_: ENGINE.prototypes)
    watchlist = Watchlist(ENGINE.prototypes, tuple(RULES))
    again = [event for event in replay.events(watchlist) if event.reason is not None]
    keys = ("label", "started_at", "ended_at", "peak_score", "reason")
    found = [
        (
            event.label,
            round(event.started_at, 3),
            round(event.ended_at, 3),
            round(event.peak_score, 3),
            event.reason,
        )
        for event in again
    ]
    rows = pq.read_table(tmp_path / "out/events").sort_by("started_at").to_pylist()
    scanned = [
        tuple(at.timestamp() if hasattr(at, "timestamp") else at for at in map(row.get, keys)) for row in rows
    ]
    assert sorted(found, key=lambda row: row[1]) == scanned
    assert len(scanned) == 5


def test_an_archive_is_asked_with_the_windows_of_its_scan(scanner, hall, tmp_path):
    write(hall / "20240131_063000.wav", 40, *TONES)
    scan_folder(hall, tmp_path / "out", scanner)
    reader = ArchiveReader(tmp_path / "out", "two")
    other = replace(scanner.engine, length=2000, hop=1500, hops={"hall": 250})
    engine = reader.as_scanned(other)
    assert (engine.length, engine.hop, engine.hop_of("hall")) == (1000, 500, 500)


def test_a_moment_belongs_to_its_recording_from_the_first_sample_on(scanner, hall, tmp_path):
    for number in range(8):
        path = hall / f"{number}.wav"
        write(path, 3, ("low", 0, 3))
        ended_ns = 1_790_000_000_123_456_789 + number * 10_001_234_567
        os.utime(path, ns=(ended_ns, ended_ns))
    with opened(tmp_path / "out") as results:
        results.settle(ORIGIN, 3, embeddings=True)
        for recording in list_recordings([str(hall)]):
            results.commit(scan_part(recording, scanner, results.drafts))
    reader = ArchiveReader(tmp_path / "out", "two")
    length = scanner.engine.length / scanner.engine.rate
    begins = [float(chunk.ended_at[0]) - length for chunk in reader.chunks("hall")]
    places = [reader.place("hall", at) for at in begins]
    assert [None if place is None else Path(place[0]).stem for place in places] == list("01234567")
    assert all(0 <= seconds < 1e-3 for _, seconds in places)


def test_periods_of_an_archive_hold_all_of_it(scanner, hall, tmp_path, monkeypatch):
    for number in range(4):
        write(hall / f"20240131_06{number}000.wav", 20, ("low", 5, 8))
    with opened(tmp_path / "out") as results:
        results.settle(ORIGIN, 3, embeddings=True)
        for recording in list_recordings([str(hall)]):
            results.commit(scan_part(recording, scanner, results.drafts))
    monkeypatch.setattr("monitor.archive.archive_reader.MOST_WINDOWS", 78)
    reader = ArchiveReader(tmp_path / "out", "two")
    every = [at for chunk in reader.chunks("hall") for at in chunk.ended_at.tolist()]
    periods = reader.periods("hall", 0.0)
    parts = [
        at
        for since, until in periods
        for chunk in reader.chunks("hall", since, until)
        for at in chunk.ended_at
    ]
    assert len(periods) > 1
    assert parts == every
    assert len(every) == 4 * 39


@pytest.mark.filterwarnings("default")  # of the server
def test_a_bucket_gives_the_results_of_a_folder(bucket, scanner, tmp_path):
    path = write(tmp_path / "20240131_063000.wav", 40, *TONES)
    for name, content in {"20240131_063000.wav": path.read_bytes(), "text.wav": b"no sound"}.items():
        bucket.pipe(f"archive/hall/2024/{name}", content)
    here, *_ = list_recordings([str(path)])
    there, text = list_recordings(["s3://archive/hall"])
    assert list_recordings(["s3://archive/**/*_063000.wav"]) == [there]
    assert list_recordings([there.address]) == [there]
    local, remote = scan_part(here, scanner, tmp_path), scan_part(there, scanner, tmp_path)
    for name, without in {
        "events": ("file", "source"),
        "embeddings": ("file", "source"),
        "files": ("file", "source", "part"),
    }.items():
        assert table(remote, name, *without) == table(local, name, *without)
    assert table(remote, "events")[0]["source"] == "hall"
    assert (local.events, local.reason, scan_part(text, scanner, tmp_path).failed) == (3, None, True)

    bucket.pipe("archive/hall/2024/20240131_063000.wav", path.read_bytes()[:-2000])
    assert list_recordings(["s3://archive/hall"])[0].part not in {there.part, text.part}
    bucket.rm("archive/hall/2024/20240131_063000.wav")
    gone = scan_part(there, scanner, tmp_path)
    assert (gone.failed, gone.reason) == (True, "No such file or directory")


def test_a_recording_that_has_vanished_is_a_row(scanner, tmp_path):
    recording, *_ = list_recordings([str(write(tmp_path / "a.wav", 3))])
    (tmp_path / "a.wav").unlink()
    draft = scan_part(recording, scanner, tmp_path)
    [row] = table(draft, "files")
    assert (row["outcome"], row["reason"], row["seconds"]) == ("failed", "No such file or directory", 0.0)
    assert set(draft.tables) == {"files"}


def scan_folder(folder, out, scanner, origin=ORIGIN):
    """Scan what is not done yet in this process; return how many recordings that was."""
    with opened(out) as results:
        results.settle(origin, 3, embeddings=True)
        left = results.undone(list_recordings([str(folder)]))
        for recording in left:
            results.commit(scan_part(recording, scanner, results.drafts))
    return len(left)


def test_a_recording_that_has_changed_is_done_again_in_its_place(scanner, hall, tmp_path):
    out = tmp_path / "out"
    for seconds in (10, 12):
        write(hall / "a.wav", seconds, ("low", 2, 5))
        assert [scan_folder(hall, out, scanner), scan_folder(hall, out, scanner)] == [1, 0]
        assert pq.read_table(out / "files")["seconds"].to_pylist() == [seconds]
        assert pq.read_table(out / "events")["label"].to_pylist() == ["low"]
    (hall / "a.wav").write_bytes(b"no sound")
    assert [scan_folder(hall, out, scanner), scan_folder(hall, out, scanner)] == [1, 1]
    assert pq.read_table(out / "files")["outcome"].to_pylist() == ["failed"]
    assert len(pq.read_table(out / "events")) == len(pq.read_table(out / "embeddings")) == 0


def test_results_of_other_settings_are_refused(scanner, hall, tmp_path):
    write(hall / "a.wav", 2)
    scan_folder(hall, tmp_path / "out", scanner)
    with pytest.raises(ConfigError, match="results of another scan: settings differ; use another folder"):
        scan_folder(hall, tmp_path / "out", scanner, replace(ORIGIN, settings="others"))


def test_nothing_of_others_is_deleted_or_written_where_results_go(scanner, hall, tmp_path):
    write(hall / "a.wav", 2)
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out / "drafts/chapter", elsewhere):
        folder.mkdir(parents=True)
        (folder / "text").write_text("precious")
    (out / "drafts/text").write_text("precious")
    scan_folder(hall, out, scanner)
    assert [path.read_text() for path in sorted(out.glob("drafts/**/text"))] == ["precious"] * 2
    for name in ("drafts", "files", "events", "embeddings"):
        other = tmp_path / f"linked-{name}"
        other.mkdir()
        (other / name).symlink_to(elsewhere)
        with pytest.raises(OutputError, match=f"{name}: is a symbolic link; nothing is written elsewhere"):
            scan_folder(hall, other, scanner)
    assert [path.name for path in elsewhere.iterdir()] == ["text"]
    (out / "drafts/lock").unlink()
    (out / "drafts/lock").symlink_to(elsewhere / "text")
    with pytest.raises(OutputError, match="drafts/lock: is a symbolic link"):
        scan_folder(hall, out, scanner)
    assert (elsewhere / "text").read_text() == "precious"
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked/events").touch()
    with pytest.raises(OutputError, match="blocked/events: File exists"):
        scan_folder(hall, tmp_path / "blocked", scanner)


@pytest.fixture
def archive(scanner, hall, tmp_path):
    """Results of two recordings; returns how they are read, and the embeddings of the first."""
    for minute in (30, 40):
        write(hall / f"20240131_06{minute}00.wav", 10, ("low", 2, 5))
    scan_folder(hall, tmp_path / "out", scanner)

    def ended():
        reader = ArchiveReader(tmp_path / "out", "two")
        reader.as_scanned(scanner.engine)
        return [at for chunk in reader.chunks("hall") for at in chunk.ended_at.tolist()]

    first = min(list_recordings([str(hall)]), key=lambda each: each.address)
    return ended, tmp_path / f"out/embeddings/{first.part}.parquet"


def forged(path, change):
    rows = pq.read_table(path)
    path.unlink()
    pq.write_table(change(rows), path)


def with_header(**values):
    known = {f"clap_monitor.{key}".encode(): str(value) for key, value in values.items()}
    return lambda rows: rows.replace_schema_metadata({**rows.schema.metadata, **known})


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "noise": lambda path: path.write_bytes(b"PAR1" + bytes(range(256)) * 9 + b"PAR1"),
    "pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "loop": lambda path: (path.unlink(), path.symlink_to(path)),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "no column": lambda path: forged(path, lambda rows: rows.drop_columns(["embedding"])),
    "no rate": lambda path: forged(path, with_header(rate=0)),
    "no number": lambda path: forged(path, with_header(hop="many")),
    "other length": lambda path: forged(path, with_header(dimension=7)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_embeddings_are_left_out_with_a_warning_and_the_others_are_read(damage, archive, caplog):
    ended, path = archive
    whole = ended()
    damage(path)
    assert ended() == whole[len(whole) // 2 :]
    assert [record.message.startswith(f"memory: {path}: ") for record in caplog.records] == [True]


def test_a_forged_report_leads_nowhere(archive, tmp_path):
    ended, _ = archive
    whole = ended()
    bad = [{"part": "../../secret"}, {"source": None}, {"started_at": None}, {"windows": None}]
    row = pq.read_table(tmp_path / "out/files").to_pylist()[0]
    for number, change in enumerate(bad):
        pq.write_table(
            pa.Table.from_pylist([row | change], FILES), tmp_path / f"out/files/{number}-x.parquet"
        )
    assert ended() == whole
    (tmp_path / "out/files/text-x.parquet").write_text("no table")
    with pytest.raises(ConfigError, match=r"--archive: .*out/files: "):
        ended()


def test_two_scans_do_not_write_the_same_folder(tmp_path):
    with (
        opened(tmp_path / "out"),
        pytest.raises(OutputError, match="another scan is writing to it"),
        opened(tmp_path / "out"),
    ):
        pass


def test_what_a_killed_scan_left_is_cleared(tmp_path):
    with opened(tmp_path / "out") as results:
        (results.drafts / "half.events").write_bytes(b"PAR1")
    (tmp_path / "out/drafts/half.events").write_bytes(b"PAR1")
    with opened(tmp_path / "out") as results:
        assert [path.name for path in results.drafts.iterdir()] == ["lock"]


def test_a_process_that_dies_costs_the_recording_that_it_read(scanner, hall, tmp_path):
    recording, *_ = list_recordings([str(write(hall / "a.wav", 2))])
    draft = failed_part(recording, "the process that read it was ended by signal SIGSEGV", ORIGIN, tmp_path)
    [row] = table(draft, "files")
    assert (row["outcome"], row["reason"][-7:], row["started_at"]) == ("failed", "SIGSEGV", None)
    assert scan_part(recording, scanner, tmp_path).part == draft.part


def test_windows_of_several_threads_go_through_the_model_together():
    batches, gate = [], threading.Event()

    def encode(spectrograms):
        batches.append(len(spectrograms))
        gate.wait()
        return spectrograms[:, 0, :]

    encoder = BatchedEncoder(encode, 4)
    rows = np.arange(10, dtype=np.float32)[:, None, None]
    with ThreadPoolExecutor(10) as threads:
        found = [threads.submit(encoder, rows[number : number + 1]) for number in range(10)]
        while len(encoder._waiting) + sum(batches) < 10:
            time.sleep(0.001)
        gate.set()
    assert [each.result().item() for each in found] == list(range(10))
    assert max(batches) == 4
    assert sum(batches) == 10


def test_a_batch_waits_for_the_windows_of_all_recordings_that_take_part():
    batches = []

    def encode(spectrograms):
        batches.append(len(spectrograms))
        return spectrograms[:, 0, :]

    encoder = BatchedEncoder(encode, 4, patience_seconds=60.0)
    ready = threading.Barrier(3)

    def scan(windows):
        with encoder.taking_part():
            ready.wait()
            return [encoder(np.full((1, 1, 1), number, np.float32)).item() for number in range(windows)]

    with ThreadPoolExecutor(3) as threads:
        found = [threads.submit(scan, windows) for windows in (1, 2, 3)]
    assert [each.result() for each in found] == [[0], [0, 1], [0, 1, 2]]
    assert batches == [3, 2, 1]


def test_batches_are_used_only_if_they_change_nothing(scanner):
    def uneven(spectrograms):
        return ENGINE.encode(spectrograms) * np.float32(1 + 1e-7 * len(spectrograms))

    engine = scanner.engine
    assert [batches_are_exact(replace(engine, encode=encode), 4) for encode in (engine.encode, uneven)] == [
        True,
        False,
    ]
