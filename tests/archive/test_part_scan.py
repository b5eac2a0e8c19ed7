"""Single recordings, on this disk and in a bucket, through an engine of two tones."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
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
from monitor.archive.tables import Origin
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


def test_two_scans_do_not_write_the_same_folder(tmp_path):
    with (
        opened(tmp_path / "out"),
        pytest.raises(OutputError, match="another scan writes it"),
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
