"""Clips: the audio around an event, within a budget; trouble with the disk stays theirs."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from monitor.buffer import RingBuffer
from monitor.config import ClipsConfig
from monitor.outputs import clips
from monitor.outputs.clips import Clips, clip_path, free_space, make_writable
from monitor.types import AudioBlock, Event, OutputError

RATE = 8_000
ID = "01JDABCDEFGHJKMNPQRSTVWXYZ"


def event(start=8 * RATE, ident=ID):
    return Event(
        id=ident,
        source="mic",
        label="dog",
        start=start,
        stop=None,
        started_at=1_795_435_203.4,
        ended_at=None,
        score=0.8,
        peak=0.8,
        windows=2,
        level_dbfs=-30.0,
        uncertainty_seconds=5.0,
    )


def ring(seconds=20, capacity=60):
    buffer = RingBuffer(capacity * RATE, RATE)
    for i in range(seconds):
        buffer.append(AudioBlock("mic", i * RATE, np.full(RATE, i / 100, np.float32), 100.0 + i))
    return buffer


def test_a_clip_holds_the_seconds_before_and_after_the_onset(tmp_path):
    writer = Clips(ClipsConfig(enabled=True, before_seconds=3, after_seconds=2), tmp_path, {"mic": ring()})
    writer.deliver(event())
    samples, rate = soundfile.read(tmp_path / clip_path(event()))
    assert (rate, len(samples)) == (RATE, 5 * RATE)
    assert samples[::RATE] == pytest.approx([0.05, 0.06, 0.07, 0.08, 0.09], abs=1e-4)
    assert (writer.written, writer.missed) == (1, 0)


def test_the_path_tells_when_where_and_what():
    assert clip_path(event()) == Path(f"2026-11-23/20261123T120003Z_mic_dog_{ID}.flac")


def test_a_clip_at_the_end_of_a_source_is_shorter(tmp_path):
    buffer = ring(seconds=9)
    buffer.close()
    writer = Clips(ClipsConfig(enabled=True, before_seconds=3, after_seconds=5), tmp_path, {"mic": buffer})
    writer.deliver(event())
    assert soundfile.info(tmp_path / clip_path(event())).duration == 4.0


def test_an_event_whose_audio_is_gone_has_no_clip_and_is_counted(tmp_path):
    writer = Clips(ClipsConfig(enabled=True), tmp_path, {"mic": ring(seconds=30, capacity=10)})
    writer.deliver(event())
    assert (writer.written, writer.missed) == (0, 1)
    assert not list(tmp_path.rglob("*.flac"))


def test_the_oldest_clips_make_room_and_nothing_else_is_touched(tmp_path):
    day = tmp_path / "2026-11-22"
    day.mkdir()
    for hour in range(4):
        (day / f"20261122T{hour:02d}0000Z_mic_dog_{ID}.flac").write_bytes(bytes(100))
    (day / "holiday.flac").write_bytes(bytes(1000))
    (tmp_path / "demo.flac").write_bytes(bytes(1000))
    assert free_space(tmp_path, 250) == 2
    assert sorted(path.name[9:11] for path in day.glob("2*")) == ["02", "03"]
    assert (day / "holiday.flac").exists()
    assert (tmp_path / "demo.flac").exists()


def test_a_full_disk_costs_the_clip_and_is_said_once(caplog, full_disk):
    make_writable(full_disk, "recordings")
    writer = Clips(ClipsConfig(enabled=True), full_disk, {"mic": ring()})
    assert caplog.text.count("nothing can be kept: No space left on device") == 1
    for ident in (ID, ID[:-1] + "Y"):
        writer.deliver(event(ident=ident))
    assert (writer.written, writer.missed) == (0, 2)
    assert writer.trouble == "No space left on device"
    assert caplog.text.count("no clip can be written: No space left on device") == 1
    assert not list(full_disk.rglob("*.part"))


def test_a_directory_that_cannot_be_written_is_an_error_that_names_the_key(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/below: cannot be written: Not a directory; set `recordings`"):
        make_writable(tmp_path / "file" / "below", "recordings")


def test_the_name_pattern_fits_the_names_that_are_made():
    assert clips._NAME.fullmatch(clip_path(event()).name)
